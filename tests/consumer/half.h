#pragma once
constexpr double half = 0.5;
