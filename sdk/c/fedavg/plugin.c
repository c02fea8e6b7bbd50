// FedAvg in C: w <- w + sum p_i delta_i, with p_i = n_i / sum n. The same bits as `plugins/algorithms/fedavg`.
//
// The header is made from the contract, `wit/`: every function of it is there, named after its interface. A call
// that answers `true` went well, and its answer is in `ret`; `false` is a refusal, in words in `err`.

#include <stdlib.h>

#include "algorithm_plugin.h"

typedef folkmoot_plugin_params_tuple2_borrow_params_f64_t weighted_t;

void exports_folkmoot_plugin_algorithm_describe(algorithm_plugin_string_t *ret) {
    algorithm_plugin_string_dup(ret,
        "{\"summary\":\"The weighted mean of the clients' updates.\","
        "\"references\":[\"McMahan et al. 2017, Communication-Efficient Learning of Deep Networks from Decentralized "
        "Data, https://arxiv.org/abs/1602.05629\"],"
        "\"traits\":{\"linear\":true},"
        "\"settings\":{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}}");
}

// What this algorithm has no need of goes well and does nothing.
#define ALGORITHM(type) exports_folkmoot_plugin_algorithm_##type

bool ALGORITHM(start)(algorithm_plugin_string_t *settings, ALGORITHM(borrow_params_t) global,
                      ALGORITHM(borrow_state_t) state, algorithm_plugin_string_t *err) {
    return true;
}

// None: the host chooses.
bool ALGORITHM(sample)(algorithm_plugin_string_t *settings, ALGORITHM(borrow_round_t) round,
                       ALGORITHM(list_own_client_t) *clients, uint32_t count, ALGORITHM(borrow_state_t) state,
                       ALGORITHM(option_list_client_id_t) *ret, algorithm_plugin_string_t *err) {
    ALGORITHM(list_own_client_free)(clients);
    ret->is_some = false;
    return true;
}

bool ALGORITHM(configure)(algorithm_plugin_string_t *settings, ALGORITHM(borrow_round_t) round,
                          ALGORITHM(borrow_client_t) client, ALGORITHM(borrow_state_t) state,
                          ALGORITHM(borrow_message_t) to, algorithm_plugin_string_t *err) {
    return true;
}

bool ALGORITHM(begin)(algorithm_plugin_string_t *settings, ALGORITHM(borrow_round_t) round,
                      ALGORITHM(borrow_params_t) global, ALGORITHM(borrow_message_t) received,
                      ALGORITHM(borrow_state_t) state, ALGORITHM(borrow_objective_t) objective,
                      algorithm_plugin_string_t *err) {
    return true;
}

bool ALGORITHM(finish)(algorithm_plugin_string_t *settings, ALGORITHM(borrow_round_t) round,
                       ALGORITHM(borrow_training_t) training, ALGORITHM(borrow_message_t) received,
                       ALGORITHM(borrow_state_t) state, ALGORITHM(borrow_message_t) to,
                       algorithm_plugin_string_t *err) {
    return true;
}

// Divides the weights by their sum, from the first to the last.
static bool normalise(weighted_t *items, uint32_t count) {
    double total = 0.0;
    for (uint32_t i = 0; i < count; i++) total += items[i].f1;
    for (uint32_t i = 0; i < count; i++) items[i].f1 /= total;
    return total > 0.0;
}

bool ALGORITHM(aggregate)(algorithm_plugin_string_t *settings, ALGORITHM(borrow_round_t) round,
                          ALGORITHM(borrow_params_t) global, ALGORITHM(borrow_updates_t) updates,
                          ALGORITHM(borrow_state_t) state, ALGORITHM(own_params_t) *ret,
                          algorithm_plugin_string_t *err) {
    uint32_t count = folkmoot_plugin_run_method_updates_count(updates);
    weighted_t *items = calloc(count + 1, sizeof *items);
    if (items == NULL) abort();
    for (uint32_t i = 0; i < count; i++) {
        folkmoot_plugin_run_own_update_t update = folkmoot_plugin_run_method_updates_get(updates, i);
        folkmoot_plugin_run_borrow_update_t lent = folkmoot_plugin_run_borrow_update(update);
        items[i].f0 = folkmoot_plugin_params_borrow_params(folkmoot_plugin_run_method_update_delta(lent));
        items[i].f1 = (double)folkmoot_plugin_run_method_update_examples(lent);
        folkmoot_plugin_run_update_drop_own(update);
    }
    // Twice, as the mean of the Rust SDK: shares first, then their sum, which may be a bit off 1.
    if (!normalise(items, count) || !normalise(items, count)) {
        algorithm_plugin_string_dup(err, "no update holds an example");
        free(items);
        return false;
    }
    folkmoot_plugin_params_list_tuple2_borrow_params_f64_t list = {items, count};
    ALGORITHM(own_params_t) mean = folkmoot_plugin_params_weighted_sum(&list);
    *ret = folkmoot_plugin_params_method_params_add(global, folkmoot_plugin_params_borrow_params(mean));
    free(items);
    return true;
}
