/* Identifiers: 26 characters, time-ordered (ULID form, lower case), unique without coordination. */
#pragma once

#define AC_ID_LEN 26

struct ac_id {
    char s[AC_ID_LEN + 1];
};

struct ac_id ac_id_new(void); /* any thread */
