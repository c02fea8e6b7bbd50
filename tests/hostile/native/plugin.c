/* A native algorithm that does what its setting `does` says, wrongly for the most part. */
#include <stdlib.h>

#include "folkmoot_plugin.h"
#include "texts.h"

#ifndef ABI
#define ABI FOLKMOOT_ABI
#endif
#ifndef CONTRACT
#define CONTRACT FOLKMOOT_CONTRACT
#endif
#ifndef KIND
#define KIND FOLKMOOT_INTERFACE_ALGORITHM
#endif

uint32_t folkmoot_abi(void) { return ABI; }
const char *folkmoot_contract(void) { return CONTRACT; }
uint32_t folkmoot_kind(void) { return KIND; }
#ifndef WITHOUT_FREE
void folkmoot_free(folkmoot_value *result) { (void)result; }
#endif

/* Kept between calls, as nothing may be. */
static unsigned aggregated;
static int started;

static folkmoot_value whole(uint32_t tag, uint64_t integer) {
    folkmoot_value value = {tag, 0, {0}, 0};
    value.payload.integer = integer;
    return value;
}

int32_t folkmoot_call(const folkmoot_host *host, uint32_t hook, const folkmoot_value *given, size_t count,
                      folkmoot_value *result) {
    if (hook == FOLKMOOT_HOOK_DESCRIBE) {
        *result = text("{\"summary\": \"Written in C.\", \"references\": [], \"traits\": {}, \"settings\": "
                       "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"does\": "
                       "{\"type\": \"string\", \"description\": \"What it does.\"}}}}");
        return FOLKMOOT_CODE_DONE;
    }
    if (hook == FOLKMOOT_HOOK_START) started = 1;
    if (hook != FOLKMOOT_HOOK_AGGREGATE || count != 5) return FOLKMOOT_CODE_DONE;
    const folkmoot_value settings = given[0], round = given[1], global = given[2], updates = given[3];
    folkmoot_value answer;
    aggregated++;
    if (said(settings, "refuse")) {
        *result = text("not today");
        return FOLKMOOT_CODE_REFUSED;
    }
    if (said(settings, "tire") && aggregated > 3) {
        *result = text("enough");
        return FOLKMOOT_CODE_REFUSED;
    }
    if (said(settings, "remember") && !started) {
        *result = text("nobody started");
        return FOLKMOOT_CODE_REFUSED;
    }
    if (said(settings, "fail")) {
        *result = text("the tank is empty");
        return FOLKMOOT_CODE_FAILED;
    }
    if (said(settings, "code")) return 77;
    if (said(settings, "nothing")) return FOLKMOOT_CODE_DONE;
    if (said(settings, "lent-answer")) {
        *result = global;
        return FOLKMOOT_CODE_DONE;
    }
    if (said(settings, "lent-drop")) return host->call(host->context, FOLKMOOT_PARAMS_DROP, &global, 1, &answer);
    if (said(settings, "other-handle")) return host->call(host->context, FOLKMOOT_PARAMS_SQRT, &round, 1, &answer);
    if (said(settings, "function")) return host->call(host->context, 0x7fff, NULL, 0, &answer);
    if (said(settings, "arguments")) return host->call(host->context, FOLKMOOT_PARAMS_ADD, &global, 1, &answer);
    if (said(settings, "tag")) {
        const folkmoot_value wrong[2] = {global, whole(99, 0)};
        return host->call(host->context, FOLKMOOT_PARAMS_ADD, wrong, 2, &answer);
    }
    if (said(settings, "null")) {
        folkmoot_value wrong[2] = {global, text("w")};
        wrong[1].payload.items = NULL;
        return host->call(host->context, FOLKMOOT_PARAMS_SHAPE, wrong, 2, &answer);
    }
    if (said(settings, "unheeded")) {
        /* The host ended the call; that the plugin goes on and answers DONE changes nothing. */
        const folkmoot_value missing[2] = {updates, whole(FOLKMOOT_TAG_UNSIGNED, 1000)};
        host->call(host->context, FOLKMOOT_UPDATES_GET, missing, 2, NULL);
        host->call(host->context, FOLKMOOT_PARAMS_SQRT, &global, 1, result);
        return FOLKMOOT_CODE_DONE;
    }
    /* global + the first update's delta */
    const folkmoot_value first[2] = {updates, whole(FOLKMOOT_TAG_UNSIGNED, 0)};
    folkmoot_value update, sum[2] = {global, global};
    if (host->call(host->context, FOLKMOOT_UPDATES_GET, first, 2, &update)) return FOLKMOOT_CODE_FAILED;
    if (host->call(host->context, FOLKMOOT_UPDATE_DELTA, &update, 1, &sum[1])) return FOLKMOOT_CODE_FAILED;
    if (said(settings, "count") && aggregated % 2 == 0) sum[1] = global;
    return host->call(host->context, FOLKMOOT_PARAMS_ADD, sum, 2, result);
}
