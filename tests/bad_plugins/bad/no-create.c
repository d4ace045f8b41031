/* A stamp, and nothing that makes a component. */
#include "stamp.h"
STAMP("scorelab-plugin\0kind=step\0name=no-create\0version=1.0.0\0summary=lacks its function" HERE)
