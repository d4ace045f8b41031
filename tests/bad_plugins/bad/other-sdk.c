/* Built with other headers than those of this scorelab, under the same number of the API. */
#include "stamp.h"
STAMP("scorelab-plugin\0kind=step\0name=other-sdk\0version=1.0.0\0summary=a forgotten number" HERE "\0sdk=0")
