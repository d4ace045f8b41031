#pragma once
/// Raised when a plugin built before must be built again.
#define SCORELAB_API_VERSION 10
#define SCORELAB_VERSION "0.1.0"
