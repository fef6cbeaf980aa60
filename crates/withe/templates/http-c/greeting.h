#ifndef GREETING_H
#define GREETING_H

#include <stddef.h>

/* What is said to whoever asks for a path of `len` bytes. Whoever calls frees it; NULL if there is no memory. */
char *greeting(const char *path, size_t len);

#endif
