/* Run by `make test`, on this machine. */
#include "greeting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed;

static void says(const char *path, const char *expected) {
    char *text = greeting(path, strlen(path));
    if (text == NULL || strcmp(text, expected) != 0) {
        fprintf(stderr, "%s: expected %s and got %s", path, expected, text == NULL ? "nothing" : text);
        failed = 1;
    }
    free(text);
}

int main(void) {
    says("/", "hello\n");
    says("/ada", "hello, ada\n");
    return failed;
}
