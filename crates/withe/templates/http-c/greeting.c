#include "greeting.h"

#include <stdlib.h>
#include <string.h>

char *greeting(const char *path, size_t len) {
    static const char hello[] = "hello";
    while (len > 0 && *path == '/') {
        path++;
        len--;
    }
    char *text = malloc(sizeof hello + len + 3);
    if (text == NULL) {
        return NULL;
    }
    char *end = text;
    memcpy(end, hello, sizeof hello - 1);
    end += sizeof hello - 1;
    if (len > 0) {
        memcpy(end, ", ", 2);
        memcpy(end + 2, path, len);
        end += 2 + len;
    }
    memcpy(end, "\n", 2);
    return text;
}
