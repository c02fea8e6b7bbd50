/* Texts out, and words of settings: what both plugins here need. */
#include <string.h>

#include "folkmoot_plugin.h"

static folkmoot_value text(const char *words) {
    folkmoot_value value = {FOLKMOOT_TAG_TEXT, 0, {0}, 0};
    value.payload.items = words;
    value.length = strlen(words);
    return value;
}

static int said(folkmoot_value settings, const char *word) {
    const char *begin = settings.payload.items;
    size_t length = strlen(word);
    for (size_t at = 0; at + length <= settings.length; at++)
        if (memcmp(begin + at, word, length) == 0) return 1;
    return 0;
}
