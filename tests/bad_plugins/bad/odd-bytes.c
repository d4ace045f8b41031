/* A stamp with bytes that are no UTF-8. */
#include "stamp.h"
STAMP("scorelab-plugin\0kind=step\0name=odd-bytes\0version=1.0.0\0summary=caf\xe9" HERE)
