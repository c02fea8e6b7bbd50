/*
 * The C ABI of native Folkmoot plugins.
 *
 * A native plugin is a shared library that exports the five functions at the end of this file. It does what a
 * component does, through the same functions of the host (wit/ says what each means), but it runs WITHOUT A
 * SANDBOX, with all rights of the user: the host loads it only where `--allow-native PATH` names it, and the run's
 * record says so. The limits on the host's arithmetic, on operations, handles, parameters, log lines and what a call
 * leaves in states and messages hold for it too; nothing limits its own time and memory, or what it hands over at once.
 *
 * How values travel. Types of the contract become tags:
 *   bool, u32, u64            UNSIGNED (false is 0, true is 1)
 *   f32, f64                  NUMBER
 *   a resource                HANDLE
 *   string                    TEXT: UTF-8, `length` bytes, no terminator
 *   list<u8>, list<f32>, ...  BYTES, F32S, F64S, U32S: `length` items, aligned as their type
 *   any other list            LIST: `length` values
 *   tuple                     LIST of its members
 *   list of tuples            LIST of one list per member, of equal lengths: columns, not rows
 *   option                    the value, or NOTHING
 *   result<T, string>         by the code: DONE with T, REFUSED with the TEXT
 * `items` may be anything where `length` is 0.
 *
 * Whose memory. Arguments belong to the caller and hold until the call returns. A result of the host belongs to
 * the host and holds until the next call of the same folkmoot_host, or until folkmoot_call returns: copy what is
 * needed longer. A result of folkmoot_call belongs to the library and must hold until the host calls folkmoot_free
 * with it, which it does once after every folkmoot_call, whatever its code, on the same thread, before that thread
 * calls folkmoot_call again. Only a host that fails itself does not: the call's result is lost then.
 *
 * Whose handles. A handle that is an argument of a hook is lent: it holds until folkmoot_call returns and must not
 * be dropped. Handles in a LIST argument of a hook, and those that the host answers, belong to the plugin, which
 * ends each with the DROP of its resource (or with WRITER_FINISH). What is left when folkmoot_call returns, the host
 * drops; what REDUCE leaves, only after the last block of its range, so it counts until then. A handle that a hook
 * answers must belong to the plugin and becomes the host's. No handle may be used after the call it was given in.
 * Handle 0 is a handle like any other.
 *
 * Threads. The host may call folkmoot_call on several threads at once. Within one call, the host is called from
 * the thread that folkmoot_call runs on, and no longer once it has returned. Nothing may be kept between calls
 * other than in `state`: the host promises neither the number nor the order of calls.
 *
 * Failures. FAILED from the host ends the call: the plugin cleans up and returns FAILED; the host then reports its
 * own reason. FAILED from the plugin says that it crashed, with a TEXT that says how. No exception and no panic may
 * leave folkmoot_call.
 *
 * Growth. New functions and hooks get new numbers and change nothing for a library that does not know them; a
 * library answers FAILED to a hook that it does not know. FOLKMOOT_ABI changes when layout or meaning does.
 */
#ifndef FOLKMOOT_PLUGIN_H
#define FOLKMOOT_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FOLKMOOT_ABI 1
/* The version of the contract in wit/ that these functions are of. */
#define FOLKMOOT_CONTRACT "0.1.0"

#if defined(_WIN32)
#define FOLKMOOT_EXPORT __declspec(dllexport)
#else
#define FOLKMOOT_EXPORT __attribute__((visibility("default")))
#endif

enum folkmoot_tag {
    FOLKMOOT_TAG_NOTHING = 0,
    FOLKMOOT_TAG_UNSIGNED = 1,
    FOLKMOOT_TAG_NUMBER = 2,
    FOLKMOOT_TAG_HANDLE = 3,
    FOLKMOOT_TAG_TEXT = 4,
    FOLKMOOT_TAG_BYTES = 5,
    FOLKMOOT_TAG_F32S = 6,
    FOLKMOOT_TAG_F64S = 7,
    FOLKMOOT_TAG_U32S = 8,
    FOLKMOOT_TAG_LIST = 9
};

typedef struct folkmoot_value {
    uint32_t tag;
    /* 0 */
    uint32_t reserved;
    union {
        /* UNSIGNED, HANDLE */
        uint64_t integer;
        /* NUMBER */
        double number;
        /* The others */
        const void *items;
    } payload;
    /* Of what `items` points to; else 0 */
    size_t length;
} folkmoot_value;

/* How a call ended. */
enum folkmoot_code {
    FOLKMOOT_CODE_DONE = 0,
    /* The function or plugin says no; the result is the reason as TEXT. */
    FOLKMOOT_CODE_REFUSED = 1,
    /* The call is over; the result may be a TEXT. */
    FOLKMOOT_CODE_FAILED = 2
};

/* The interface that a plugin exports. */
enum folkmoot_interface {
    FOLKMOOT_INTERFACE_ALGORITHM = 1,
    FOLKMOOT_INTERFACE_BLOCK_KERNEL = 2,
    FOLKMOOT_INTERFACE_PARTITIONER = 3,
    FOLKMOOT_INTERFACE_METRIC = 4
};

/* Functions of a plugin. Every one but DESCRIBE may answer REFUSED. */
enum folkmoot_hook {
    FOLKMOOT_HOOK_DESCRIBE = 1, /* every kind: () -> TEXT, JSON */
    FOLKMOOT_HOOK_START = 2, /* algorithm: (TEXT settings, params global, state) -> NOTHING */
    FOLKMOOT_HOOK_SAMPLE = 3, /* algorithm: (TEXT settings, round, list of client, UNSIGNED count, state) -> U32S or NOTHING */
    FOLKMOOT_HOOK_CONFIGURE = 4, /* algorithm: (TEXT settings, round, client, state, message to) -> NOTHING */
    FOLKMOOT_HOOK_BEGIN = 5, /* algorithm: (TEXT settings, round, params global, message received, state, objective) -> NOTHING */
    FOLKMOOT_HOOK_FINISH = 6, /* algorithm: (TEXT settings, round, training, message received, state, message to) -> NOTHING */
    FOLKMOOT_HOOK_AGGREGATE = 7, /* algorithm: (TEXT settings, round, params global, updates, state) -> params */
    FOLKMOOT_HOOK_REDUCE = 8, /* block kernel: (TEXT settings, list of F32S deltas, F64S weights) -> F32S */
    FOLKMOOT_HOOK_PARTITION = 9, /* partitioner: (TEXT settings, dataset, UNSIGNED clients) -> list of U32S */
    FOLKMOOT_HOOK_ASK = 10, /* metric: (TEXT settings, TEXT example, answers so far, questions) -> NOTHING */
    FOLKMOOT_HOOK_OBSERVE = 11, /* metric: (TEXT settings, TEXT example, answers, observations) -> NOTHING */
    FOLKMOOT_HOOK_SUMMARIZE = 12, /* metric: (TEXT settings, observations, scores) -> NOTHING */
};

/* Functions of the host; a resource is written as its name and is a HANDLE. Methods get their resource first. */
enum folkmoot_function {
    /* params.params */
    FOLKMOOT_PARAMS_DROP = 0x100, /* (params, whose handle ends here) -> NOTHING */
    FOLKMOOT_PARAMS_NAMES = 0x101, /* (params) -> list of TEXT */
    FOLKMOOT_PARAMS_SHAPE = 0x102, /* (params, TEXT name) -> U32S or NOTHING */
    FOLKMOOT_PARAMS_COUNT = 0x103, /* (params) -> UNSIGNED */
    FOLKMOOT_PARAMS_FILLED = 0x104, /* (params, NUMBER value) -> params */
    FOLKMOOT_PARAMS_SELECT = 0x105, /* (params, TEXT glob) -> params */
    FOLKMOOT_PARAMS_MERGE = 0x106, /* (params, params other) -> params */
    FOLKMOOT_PARAMS_ADD = 0x107, /* (params, params other) -> params */
    FOLKMOOT_PARAMS_SUB = 0x108, /* (params, params other) -> params */
    FOLKMOOT_PARAMS_MUL = 0x109, /* (params, params other) -> params */
    FOLKMOOT_PARAMS_DIV = 0x10a, /* (params, params other) -> params */
    FOLKMOOT_PARAMS_MINIMUM = 0x10b, /* (params, params other) -> params */
    FOLKMOOT_PARAMS_MAXIMUM = 0x10c, /* (params, params other) -> params */
    FOLKMOOT_PARAMS_SCALE = 0x10d, /* (params, NUMBER factor) -> params */
    FOLKMOOT_PARAMS_OFFSET = 0x10e, /* (params, NUMBER addend) -> params */
    FOLKMOOT_PARAMS_ADD_SCALED = 0x10f, /* (params, NUMBER factor, params other) -> params */
    FOLKMOOT_PARAMS_SQRT = 0x110, /* (params) -> params */
    FOLKMOOT_PARAMS_SQUARE = 0x111, /* (params) -> params */
    FOLKMOOT_PARAMS_ABS = 0x112, /* (params) -> params */
    FOLKMOOT_PARAMS_SIGN = 0x113, /* (params) -> params */
    FOLKMOOT_PARAMS_CLAMP = 0x114, /* (params, NUMBER low, NUMBER high) -> params */
    FOLKMOOT_PARAMS_SUM = 0x115, /* (params) -> NUMBER */
    FOLKMOOT_PARAMS_DOT = 0x116, /* (params, params other) -> NUMBER */
    FOLKMOOT_PARAMS_NORM = 0x117, /* (params) -> NUMBER */
    FOLKMOOT_PARAMS_NORMS = 0x118, /* (params) -> F64S */
    FOLKMOOT_PARAMS_READ = 0x119, /* (params, UNSIGNED offset, UNSIGNED length) -> F32S */
    FOLKMOOT_PARAMS_WRITE = 0x11a, /* (params) -> writer */
    /* params.writer */
    FOLKMOOT_WRITER_DROP = 0x200, /* (writer, whose handle ends here) -> NOTHING */
    FOLKMOOT_WRITER_PUT = 0x201, /* (writer, UNSIGNED offset, F32S values) -> NOTHING */
    FOLKMOOT_WRITER_FINISH = 0x202, /* (writer, whose handle ends here) -> params */
    /* functions of params */
    FOLKMOOT_WEIGHTED_SUM = 0x301, /* (list of (params, NUMBER weight)) -> params */
    FOLKMOOT_TRIMMED_MEAN = 0x302, /* (list of params, UNSIGNED drop) -> params */
    FOLKMOOT_MEDIAN = 0x303, /* (list of params) -> params */
    FOLKMOOT_MEAN_NEAR_MEDIAN = 0x304, /* (list of params, UNSIGNED keep) -> params */
    FOLKMOOT_DISTANCES = 0x305, /* (list of params, params center) -> F64S */
    FOLKMOOT_PAIRWISE_DISTANCES = 0x306, /* (list of params) -> F64S */
    FOLKMOOT_GAUSSIAN = 0x307, /* (params like, TEXT label) -> params */
    /* run.round */
    FOLKMOOT_ROUND_DROP = 0x400, /* (round, whose handle ends here) -> NOTHING */
    FOLKMOOT_ROUND_NUMBER = 0x401, /* (round) -> UNSIGNED */
    FOLKMOOT_ROUND_TOTAL = 0x402, /* (round) -> UNSIGNED */
    FOLKMOOT_ROUND_CLIENTS = 0x403, /* (round) -> UNSIGNED */
    FOLKMOOT_ROUND_RANDOM = 0x404, /* (round) -> UNSIGNED */
    /* run.client */
    FOLKMOOT_CLIENT_DROP = 0x500, /* (client, whose handle ends here) -> NOTHING */
    FOLKMOOT_CLIENT_ID = 0x501, /* (client) -> UNSIGNED */
    FOLKMOOT_CLIENT_EXAMPLES = 0x502, /* (client) -> UNSIGNED */
    FOLKMOOT_CLIENT_IDLE = 0x503, /* (client) -> UNSIGNED or NOTHING */
    FOLKMOOT_CLIENT_FIGURE = 0x504, /* (client, TEXT name) -> NUMBER or NOTHING */
    /* run.message */
    FOLKMOOT_MESSAGE_DROP = 0x600, /* (message, whose handle ends here) -> NOTHING */
    FOLKMOOT_MESSAGE_NEW = 0x601, /* () -> message */
    FOLKMOOT_MESSAGE_PUT_PARAMS = 0x602, /* (message, TEXT name, params) -> NOTHING */
    FOLKMOOT_MESSAGE_PUT_SCALAR = 0x603, /* (message, TEXT name, NUMBER) -> NOTHING */
    FOLKMOOT_MESSAGE_PUT_BYTES = 0x604, /* (message, TEXT name, BYTES) -> NOTHING */
    FOLKMOOT_MESSAGE_PARAMS = 0x605, /* (message, TEXT name) -> params or NOTHING */
    FOLKMOOT_MESSAGE_SCALAR = 0x606, /* (message, TEXT name) -> NUMBER or NOTHING */
    FOLKMOOT_MESSAGE_BYTES = 0x607, /* (message, TEXT name) -> BYTES or NOTHING */
    /* run.state */
    FOLKMOOT_STATE_DROP = 0x700, /* (state, whose handle ends here) -> NOTHING */
    FOLKMOOT_STATE_PUT_PARAMS = 0x701, /* (state, TEXT name, params) -> NOTHING */
    FOLKMOOT_STATE_PUT_BYTES = 0x702, /* (state, TEXT name, BYTES) -> NOTHING */
    FOLKMOOT_STATE_PARAMS = 0x703, /* (state, TEXT name) -> params or NOTHING */
    FOLKMOOT_STATE_BYTES = 0x704, /* (state, TEXT name) -> BYTES or NOTHING */
    /* run.update */
    FOLKMOOT_UPDATE_DROP = 0x800, /* (update, whose handle ends here) -> NOTHING */
    FOLKMOOT_UPDATE_CLIENT = 0x801, /* (update) -> client */
    FOLKMOOT_UPDATE_EXAMPLES = 0x802, /* (update) -> UNSIGNED */
    FOLKMOOT_UPDATE_STEPS = 0x803, /* (update) -> UNSIGNED */
    FOLKMOOT_UPDATE_LR = 0x804, /* (update) -> NUMBER */
    FOLKMOOT_UPDATE_STALENESS = 0x805, /* (update) -> UNSIGNED */
    FOLKMOOT_UPDATE_FIGURE = 0x806, /* (update, TEXT name) -> NUMBER or NOTHING */
    FOLKMOOT_UPDATE_DELTA = 0x807, /* (update) -> params */
    FOLKMOOT_UPDATE_MESSAGE = 0x808, /* (update) -> message */
    /* run.updates */
    FOLKMOOT_UPDATES_DROP = 0x900, /* (updates, whose handle ends here) -> NOTHING */
    FOLKMOOT_UPDATES_COUNT = 0x901, /* (updates) -> UNSIGNED */
    FOLKMOOT_UPDATES_GET = 0x902, /* (updates, UNSIGNED index) -> update */
    /* run.objective */
    FOLKMOOT_OBJECTIVE_DROP = 0xa00, /* (objective, whose handle ends here) -> NOTHING */
    FOLKMOOT_OBJECTIVE_PROXIMAL = 0xa01, /* (objective, NUMBER mu, params reference) -> NOTHING */
    FOLKMOOT_OBJECTIVE_LINEAR = 0xa02, /* (objective, params gradient) -> NOTHING */
    FOLKMOOT_OBJECTIVE_CORRECT = 0xa03, /* (objective, params direction) -> NOTHING */
    FOLKMOOT_OBJECTIVE_FREEZE = 0xa04, /* (objective, TEXT glob) -> NOTHING */
    FOLKMOOT_OBJECTIVE_FREEZE_DURING = 0xa05, /* (objective, TEXT glob, NUMBER start, NUMBER end) -> NOTHING */
    FOLKMOOT_OBJECTIVE_KEEP = 0xa06, /* (objective, TEXT glob) -> NOTHING */
    FOLKMOOT_OBJECTIVE_SCALE_LR = 0xa07, /* (objective, NUMBER factor) -> NOTHING */
    FOLKMOOT_OBJECTIVE_ENVELOPE = 0xa08, /* (objective, NUMBER lambda, NUMBER rate, UNSIGNED period) -> NOTHING */
    FOLKMOOT_OBJECTIVE_PERSONAL = 0xa09, /* (objective, params from) -> objective */
    FOLKMOOT_OBJECTIVE_INITIAL_LOSS = 0xa0a, /* (objective, UNSIGNED examples) -> NOTHING */
    /* run.training */
    FOLKMOOT_TRAINING_DROP = 0xb00, /* (training, whose handle ends here) -> NOTHING */
    FOLKMOOT_TRAINING_STEPS = 0xb01, /* (training) -> UNSIGNED */
    FOLKMOOT_TRAINING_LR = 0xb02, /* (training) -> NUMBER */
    FOLKMOOT_TRAINING_FIGURE = 0xb03, /* (training, TEXT name) -> NUMBER or NOTHING */
    FOLKMOOT_TRAINING_BEFORE = 0xb04, /* (training) -> params */
    FOLKMOOT_TRAINING_AFTER = 0xb05, /* (training) -> params */
    FOLKMOOT_TRAINING_PERSONAL = 0xb06, /* (training) -> params or NOTHING */
    /* functions of run */
    FOLKMOOT_LOG = 0xc01, /* (TEXT level, TEXT message) -> NOTHING */
    FOLKMOOT_REPORT = 0xc02, /* (TEXT name, NUMBER value) -> NOTHING */
    /* data.dataset */
    FOLKMOOT_DATASET_DROP = 0xd00, /* (dataset, whose handle ends here) -> NOTHING */
    FOLKMOOT_DATASET_EXAMPLES = 0xd01, /* (dataset) -> UNSIGNED */
    FOLKMOOT_DATASET_COLUMNS = 0xd02, /* (dataset) -> list of TEXT */
    FOLKMOOT_DATASET_CATEGORIES = 0xd03, /* (dataset, TEXT column) -> (U32S, list of TEXT), or refused */
    FOLKMOOT_DATASET_NUMBERS = 0xd04, /* (dataset, TEXT column) -> F64S, or refused */
    FOLKMOOT_DATASET_LENGTHS = 0xd05, /* (dataset) -> U32S */
    FOLKMOOT_DATASET_TEXT = 0xd06, /* (dataset, UNSIGNED example) -> TEXT */
    FOLKMOOT_DATASET_RANDOM = 0xd07, /* (dataset) -> UNSIGNED */
    /* evaluation.questions */
    FOLKMOOT_QUESTIONS_DROP = 0xe00, /* (questions, whose handle ends here) -> NOTHING */
    FOLKMOOT_QUESTIONS_GENERATE = 0xe01, /* (questions, TEXT prompt, TEXT options) -> NOTHING */
    FOLKMOOT_QUESTIONS_CHAT = 0xe02, /* (questions, TEXT messages, TEXT options) -> NOTHING */
    FOLKMOOT_QUESTIONS_LIKELIHOOD = 0xe03, /* (questions, TEXT context, TEXT continuation) -> NOTHING */
    FOLKMOOT_QUESTIONS_PERPLEXITY = 0xe04, /* (questions, TEXT text) -> NOTHING */
    FOLKMOOT_QUESTIONS_JUDGE = 0xe05, /* (questions, TEXT messages, TEXT options) -> NOTHING */
    FOLKMOOT_QUESTIONS_EXECUTE = 0xe06, /* (questions, TEXT language, TEXT source, UNSIGNED milliseconds) -> NOTHING */
    /* evaluation.answers */
    FOLKMOOT_ANSWERS_DROP = 0xf00, /* (answers, whose handle ends here) -> NOTHING */
    FOLKMOOT_ANSWERS_COUNT = 0xf01, /* (answers) -> UNSIGNED */
    FOLKMOOT_ANSWERS_TEXTS = 0xf02, /* (answers, UNSIGNED index) -> list of TEXT */
    FOLKMOOT_ANSWERS_LOG_LIKELIHOOD = 0xf03, /* (answers, UNSIGNED index) -> NUMBER */
    FOLKMOOT_ANSWERS_TOKENS = 0xf04, /* (answers, UNSIGNED index) -> UNSIGNED */
    FOLKMOOT_ANSWERS_GREEDY = 0xf05, /* (answers, UNSIGNED index) -> UNSIGNED */
    FOLKMOOT_ANSWERS_SUCCEEDED = 0xf06, /* (answers, UNSIGNED index) -> UNSIGNED */
    FOLKMOOT_ANSWERS_OUTPUT = 0xf07, /* (answers, UNSIGNED index) -> TEXT */
    FOLKMOOT_ANSWERS_FAILURE = 0xf08, /* (answers, UNSIGNED index) -> TEXT */
    /* evaluation.observations */
    FOLKMOOT_OBSERVATIONS_DROP = 0x1000, /* (observations, whose handle ends here) -> NOTHING */
    FOLKMOOT_OBSERVATIONS_ADD = 0x1001, /* (observations, TEXT name, NUMBER sum, NUMBER weight) -> NOTHING */
    FOLKMOOT_OBSERVATIONS_LABEL = 0x1002, /* (observations, TEXT name, TEXT expected, TEXT predicted) -> NOTHING */
    FOLKMOOT_OBSERVATIONS_NOTE = 0x1003, /* (observations, TEXT name, TEXT text) -> NOTHING */
    FOLKMOOT_OBSERVATIONS_NAMES = 0x1004, /* (observations) -> list of TEXT */
    FOLKMOOT_OBSERVATIONS_VALUES = 0x1005, /* (observations, TEXT name) -> list of (NUMBER sum, NUMBER weight) */
    FOLKMOOT_OBSERVATIONS_LABELS = 0x1006, /* (observations, TEXT name) -> list of (TEXT expected, TEXT predicted) */
    /* evaluation.scores */
    FOLKMOOT_SCORES_DROP = 0x1100, /* (scores, whose handle ends here) -> NOTHING */
    FOLKMOOT_SCORES_ADD = 0x1101, /* (scores, TEXT name, NUMBER value, UNSIGNED higher is better, NUMBER standard error or NOTHING) -> NOTHING */
};

/* What the host gives a plugin for the time of one call. */
typedef struct folkmoot_host {
    /* FOLKMOOT_ABI of the host */
    uint32_t abi;
    void *context;
    /* Calls an enum folkmoot_function; answers an enum folkmoot_code and, unless it is null, writes `result`. */
    int32_t (*call)(void *context, uint32_t function, const folkmoot_value *arguments, size_t count,
                    folkmoot_value *result);
} folkmoot_host;

/* What a plugin exports. */

/* FOLKMOOT_ABI. Called before anything else. */
FOLKMOOT_EXPORT uint32_t folkmoot_abi(void);
/* FOLKMOOT_CONTRACT, terminated by a zero; the host asks for the same version up to the last number. */
FOLKMOOT_EXPORT const char *folkmoot_contract(void);
/* An enum folkmoot_interface. */
FOLKMOOT_EXPORT uint32_t folkmoot_kind(void);
/* Runs an enum folkmoot_hook; `result` is NOTHING when it is called. Answers an enum folkmoot_code. */
FOLKMOOT_EXPORT int32_t folkmoot_call(const folkmoot_host *host, uint32_t hook, const folkmoot_value *arguments,
                                      size_t count, folkmoot_value *result);
/* Frees what a result of folkmoot_call points to. */
FOLKMOOT_EXPORT void folkmoot_free(folkmoot_value *result);

#ifdef __cplusplus
}
#endif

#endif
