/* The specs of the applications that ship, inside the program: a pod then needs no file. */
#pragma once

/** Text of the built-in spec of this name ("hotel"), NULL when there is none. */
const char *app_spec_builtin(const char *name);
