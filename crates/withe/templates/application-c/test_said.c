/* Run by `make test`, on this machine. */
#include "said.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed;

static void says(const char *path, uint64_t times, const char *expected) {
    char *text = said(path, strlen(path), times);
    if (text == NULL || strcmp(text, expected) != 0) {
        fprintf(stderr, "%s: expected %s and got %s", path, expected, text == NULL ? "nothing" : text);
        failed = 1;
    }
    free(text);
}

int main(void) {
    says("/", 1, "/ was asked for once\n");
    says("/", 2, "/ was asked for 2 times\n");
    return failed;
}
