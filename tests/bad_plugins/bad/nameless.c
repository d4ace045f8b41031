/* A stamp that does not say what the plugin is called. */
#include "stamp.h"
STAMP("scorelab-plugin\0kind=step\0version=1.0.0")
