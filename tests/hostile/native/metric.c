/* A native metric that keeps between calls what its setting `does` says, as nothing may be kept. */
#include <stdio.h>

#include "folkmoot_plugin.h"
#include "texts.h"

uint32_t folkmoot_abi(void) { return FOLKMOOT_ABI; }
const char *folkmoot_contract(void) { return FOLKMOOT_CONTRACT; }
uint32_t folkmoot_kind(void) { return FOLKMOOT_INTERFACE_METRIC; }
void folkmoot_free(folkmoot_value *result) { (void)result; }

static unsigned asked;
/* Bytes of the first example that was observed. */
static size_t first;

static folkmoot_value number(double own) {
    folkmoot_value value = {FOLKMOOT_TAG_NUMBER, 0, {0}, 0};
    value.payload.number = own;
    return value;
}

static int32_t describe(folkmoot_value *result) {
    *result = text("{\"summary\": \"Written in C.\", \"references\": [], \"traits\": {\"scores\": "
                   "[{\"name\": \"length\", \"meaning\": \"B\", \"higher_is_better\": true, \"error\": \"none\"}]}, "
                   "\"settings\": {\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"does\": "
                   "{\"type\": \"string\", \"description\": \"What it does.\"}}}}");
    return FOLKMOOT_CODE_DONE;
}

static int32_t ask(const folkmoot_host *host, const folkmoot_value *given) {
    folkmoot_value answers, nothing;
    if (host->call(host->context, FOLKMOOT_ANSWERS_COUNT, &given[2], 1, &answers)) return FOLKMOOT_CODE_FAILED;
    if (answers.payload.integer > 0) return FOLKMOOT_CODE_DONE;
    char words[32] = "Why?";
    if (said(given[0], "vary")) snprintf(words, sizeof words, "Why %u?", asked++);
    const folkmoot_value question[2] = {given[3], text(words)};
    return host->call(host->context, FOLKMOOT_QUESTIONS_PERPLEXITY, question, 2, &nothing);
}

static int32_t observe(const folkmoot_host *host, const folkmoot_value *given) {
    folkmoot_value nothing;
    if (first == 0) first = given[1].length;
    const size_t length = said(given[0], "recall") ? first : given[1].length;
    const folkmoot_value sum[4] = {given[3], text("length"), number((double)length), number(1.0)};
    return host->call(host->context, FOLKMOOT_OBSERVATIONS_ADD, sum, 4, &nothing);
}

/* The first length, in the host's order. */
static int32_t summarize(const folkmoot_host *host, const folkmoot_value *given) {
    const folkmoot_value wanted[2] = {given[1], text("length")};
    folkmoot_value pairs, nothing = {FOLKMOOT_TAG_NOTHING, 0, {0}, 0}, better = {FOLKMOOT_TAG_UNSIGNED, 0, {1}, 0};
    if (host->call(host->context, FOLKMOOT_OBSERVATIONS_VALUES, wanted, 2, &pairs)) return FOLKMOOT_CODE_FAILED;
    const folkmoot_value *columns = pairs.payload.items;
    const double *lengths = columns[0].payload.items;
    const folkmoot_value score[5] = {given[2], text("length"), number(lengths[0]), better, nothing};
    return host->call(host->context, FOLKMOOT_SCORES_ADD, score, 5, &nothing);
}

int32_t folkmoot_call(const folkmoot_host *host, uint32_t hook, const folkmoot_value *given, size_t count,
                      folkmoot_value *result) {
    (void)count;
    switch (hook) {
        case FOLKMOOT_HOOK_DESCRIBE: return describe(result);
        case FOLKMOOT_HOOK_ASK: return ask(host, given);
        case FOLKMOOT_HOOK_OBSERVE: return observe(host, given);
        case FOLKMOOT_HOOK_SUMMARIZE: return summarize(host, given);
        default: return FOLKMOOT_CODE_FAILED;
    }
}
