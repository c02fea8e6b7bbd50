//! The C ABI of native plugins in Rust: numbers and layouts of `sdk/native/folkmoot_plugin.h`, which says what they
//! mean. The host compiles this very file, so that both sides agree.

use std::ffi::c_void;

/// Layout and meaning of what is exchanged; checked before anything else is called.
pub const ABI: u32 = 1;

/// A closed choice whose members have the header's numbers.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($member:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u32)]
        pub enum $name { $($member = $number,)* }

        impl $name {
            /// Every member with its name.
            pub const ALL: &'static [(&'static str, Self)] = &[$((stringify!($member), Self::$member),)*];

            /// The member of this number.
            pub fn of(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$member),)*
                    _ => None,
                }
            }

            /// Its number.
            pub const fn number(self) -> u32 {
                self as u32
            }
        }
    };
}

numbered! {
    /// What a value is.
    Tag {
        Nothing = 0,
        Unsigned = 1,
        Number = 2,
        Handle = 3,
        Text = 4,
        Bytes = 5,
        F32s = 6,
        F64s = 7,
        U32s = 8,
        List = 9,
    }
}

numbered! {
    /// How a call ended.
    Code {
        Done = 0,
        Refused = 1,
        Failed = 2,
    }
}

numbered! {
    /// The interface that a plugin exports.
    Interface {
        Algorithm = 1,
        BlockKernel = 2,
        Partitioner = 3,
        Metric = 4,
    }
}

numbered! {
    /// A function that a plugin exports.
    Hook {
        Describe = 1,
        Start = 2,
        Sample = 3,
        Configure = 4,
        Begin = 5,
        Finish = 6,
        Aggregate = 7,
        Reduce = 8,
        Partition = 9,
        Ask = 10,
        Observe = 11,
        Summarize = 12,
    }
}

numbered! {
    /// A function of the host.
    Function {
        // params.params
        ParamsDrop = 0x100,
        ParamsNames = 0x101,
        ParamsShape = 0x102,
        ParamsCount = 0x103,
        ParamsFilled = 0x104,
        ParamsSelect = 0x105,
        ParamsMerge = 0x106,
        ParamsAdd = 0x107,
        ParamsSub = 0x108,
        ParamsMul = 0x109,
        ParamsDiv = 0x10a,
        ParamsMinimum = 0x10b,
        ParamsMaximum = 0x10c,
        ParamsScale = 0x10d,
        ParamsOffset = 0x10e,
        ParamsAddScaled = 0x10f,
        ParamsSqrt = 0x110,
        ParamsSquare = 0x111,
        ParamsAbs = 0x112,
        ParamsSign = 0x113,
        ParamsClamp = 0x114,
        ParamsSum = 0x115,
        ParamsDot = 0x116,
        ParamsNorm = 0x117,
        ParamsNorms = 0x118,
        ParamsRead = 0x119,
        ParamsWrite = 0x11a,
        // params.writer
        WriterDrop = 0x200,
        WriterPut = 0x201,
        WriterFinish = 0x202,
        // functions of params
        WeightedSum = 0x301,
        TrimmedMean = 0x302,
        Median = 0x303,
        MeanNearMedian = 0x304,
        Distances = 0x305,
        PairwiseDistances = 0x306,
        Gaussian = 0x307,
        // run.round
        RoundDrop = 0x400,
        RoundNumber = 0x401,
        RoundTotal = 0x402,
        RoundClients = 0x403,
        RoundRandom = 0x404,
        // run.client
        ClientDrop = 0x500,
        ClientId = 0x501,
        ClientExamples = 0x502,
        ClientIdle = 0x503,
        ClientFigure = 0x504,
        // run.message
        MessageDrop = 0x600,
        MessageNew = 0x601,
        MessagePutParams = 0x602,
        MessagePutScalar = 0x603,
        MessagePutBytes = 0x604,
        MessageParams = 0x605,
        MessageScalar = 0x606,
        MessageBytes = 0x607,
        // run.state
        StateDrop = 0x700,
        StatePutParams = 0x701,
        StatePutBytes = 0x702,
        StateParams = 0x703,
        StateBytes = 0x704,
        // run.update
        UpdateDrop = 0x800,
        UpdateClient = 0x801,
        UpdateExamples = 0x802,
        UpdateSteps = 0x803,
        UpdateLr = 0x804,
        UpdateStaleness = 0x805,
        UpdateFigure = 0x806,
        UpdateDelta = 0x807,
        UpdateMessage = 0x808,
        // run.updates
        UpdatesDrop = 0x900,
        UpdatesCount = 0x901,
        UpdatesGet = 0x902,
        // run.objective
        ObjectiveDrop = 0xa00,
        ObjectiveProximal = 0xa01,
        ObjectiveLinear = 0xa02,
        ObjectiveCorrect = 0xa03,
        ObjectiveFreeze = 0xa04,
        ObjectiveFreezeDuring = 0xa05,
        ObjectiveKeep = 0xa06,
        ObjectiveScaleLr = 0xa07,
        ObjectiveEnvelope = 0xa08,
        ObjectivePersonal = 0xa09,
        ObjectiveInitialLoss = 0xa0a,
        // run.training
        TrainingDrop = 0xb00,
        TrainingSteps = 0xb01,
        TrainingLr = 0xb02,
        TrainingFigure = 0xb03,
        TrainingBefore = 0xb04,
        TrainingAfter = 0xb05,
        TrainingPersonal = 0xb06,
        // functions of run
        Log = 0xc01,
        Report = 0xc02,
        // data.dataset
        DatasetDrop = 0xd00,
        DatasetExamples = 0xd01,
        DatasetColumns = 0xd02,
        DatasetCategories = 0xd03,
        DatasetNumbers = 0xd04,
        DatasetLengths = 0xd05,
        DatasetText = 0xd06,
        DatasetRandom = 0xd07,
        // evaluation.questions
        QuestionsDrop = 0xe00,
        QuestionsGenerate = 0xe01,
        QuestionsChat = 0xe02,
        QuestionsLikelihood = 0xe03,
        QuestionsPerplexity = 0xe04,
        QuestionsJudge = 0xe05,
        QuestionsExecute = 0xe06,
        // evaluation.answers
        AnswersDrop = 0xf00,
        AnswersCount = 0xf01,
        AnswersTexts = 0xf02,
        AnswersLogLikelihood = 0xf03,
        AnswersTokens = 0xf04,
        AnswersGreedy = 0xf05,
        AnswersSucceeded = 0xf06,
        AnswersOutput = 0xf07,
        AnswersFailure = 0xf08,
        // evaluation.observations
        ObservationsDrop = 0x1000,
        ObservationsAdd = 0x1001,
        ObservationsLabel = 0x1002,
        ObservationsNote = 0x1003,
        ObservationsNames = 0x1004,
        ObservationsValues = 0x1005,
        ObservationsLabels = 0x1006,
        // evaluation.scores
        ScoresDrop = 0x1100,
        ScoresAdd = 0x1101,
    }
}

/// `struct folkmoot_value`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Value {
    pub tag: u32,
    pub reserved: u32,
    pub payload: Payload,
    pub length: usize,
}

/// What a value holds: a number, or where its items lie.
#[derive(Clone, Copy)]
#[repr(C)]
pub union Payload {
    pub integer: u64,
    pub number: f64,
    pub items: *const c_void,
}

impl Value {
    /// No value.
    pub const NOTHING: Self = Self::integer(Tag::Nothing, 0);

    /// A whole number or a handle.
    pub const fn integer(tag: Tag, integer: u64) -> Self {
        Self {
            tag: tag.number(),
            reserved: 0,
            payload: Payload { integer },
            length: 0,
        }
    }

    /// A real number.
    pub const fn number(number: f64) -> Self {
        Self {
            payload: Payload { number },
            ..Self::integer(Tag::Number, 0)
        }
    }

    /// Items that lie elsewhere and must outlive the value.
    pub const fn items<T>(tag: Tag, items: &[T]) -> Self {
        // All bits are there also where a pointer is shorter than a number.
        let mut payload = Payload { integer: 0 };
        payload.items = items.as_ptr().cast();
        Self {
            payload,
            length: items.len(),
            ..Self::integer(tag, 0)
        }
    }
}

/// A function of one side as the other calls it: function, arguments, their count, result; answers a [`Code`].
pub type HostCall = unsafe extern "C" fn(*mut c_void, u32, *const Value, usize, *mut Value) -> i32;

/// `struct folkmoot_host`.
#[repr(C)]
pub struct Host {
    pub abi: u32,
    pub context: *mut c_void,
    pub call: HostCall,
}

/// `folkmoot_call`.
pub type PluginCall =
    unsafe extern "C" fn(*const Host, u32, *const Value, usize, *mut Value) -> i32;
