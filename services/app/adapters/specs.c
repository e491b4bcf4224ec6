#include "specs.h"

#include <aceso/str.h>

/* From the project's root, where make runs the compiler. */
__asm__(".pushsection .rodata\n"
        "app_spec_hotel_text: .incbin \"services/app/specs/hotel.yaml\"\n"
        ".byte 0\n"
        ".popsection\n");

extern const char app_spec_hotel_text[];

const char *app_spec_builtin(const char *name)
{
    return ac_streq(name, "hotel") ? app_spec_hotel_text : NULL;
}
