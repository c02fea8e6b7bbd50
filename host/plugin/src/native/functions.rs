//! The functions of the C ABI by their numbers: each is the method that components call.

use super::abi::Function;
use super::datum::{Datum, Taken};
use super::desk::Desk;
use crate::bindings::folkmoot::plugin::{data, evaluation, params, run};
use crate::host::refuse;
use wasmtime::component::Resource;

/// The arguments of a function, in order.
struct Given<'a> {
    function: Function,
    arguments: std::vec::IntoIter<Datum<'a>>,
}

impl Given<'_> {
    /// The next, which may be a lent handle.
    fn given<T: Taken>(&mut self, _: &mut Desk) -> wasmtime::Result<T> {
        let argument = self.arguments.next().unwrap_or(Datum::Nothing);
        T::taken(argument).map_err(|cause| self.refuse(&cause))
    }

    /// The next, a handle that must be the plugin's own and ends here.
    fn own<T: 'static>(&mut self, desk: &mut Desk) -> wasmtime::Result<Resource<T>> {
        let own: Resource<T> = self.given(desk)?;
        desk.disown(own.rep())
            .map_err(|cause| self.refuse(&cause))?;
        Ok(own)
    }

    fn refuse(&self, cause: &str) -> wasmtime::Error {
        refuse(format!("{:?}: {cause}", self.function))
    }
}

/// Defines [`call`]: `FUNCTION => METHOD(ARGUMENTS)`, an argument being `given` or `own`. Those behind `?` may refuse
/// in words that the plugin may pass on.
macro_rules! functions {
    (
        $($function:ident => $interface:ident::$trait:ident::$method:ident($($how:ident),*);)*
        $(? $fallible:ident => $from:ident::$of:ident::$called:ident($($by:ident),*);)*
    ) => {
        /// Calls `function`; the inner error is a refusal in words that the plugin may pass on.
        pub(super) fn call(
            desk: &mut Desk,
            function: Function,
            arguments: Vec<Datum>,
        ) -> wasmtime::Result<Result<Datum<'static>, String>> {
            let wanted = match function {
                $(Function::$function => <[&str]>::len(&[$(stringify!($how)),*]),)*
                $(Function::$fallible => <[&str]>::len(&[$(stringify!($by)),*]),)*
            };
            let (found, arguments) = (arguments.len(), arguments.into_iter());
            let mut given = Given { function, arguments };
            if found != wanted {
                return Err(given.refuse(&format!("{found} arguments where there are {wanted}")));
            }
            match function {
                $(Function::$function => {
                    let arguments = ($(given.$how(desk)?,)*);
                    desk.host.usage.host_calls.$interface += 1;
                    functions!(@call $interface::$trait::$method(desk, arguments; $($how),*))
                        .map(|answer| Ok(answer.into()))
                })*
                $(Function::$fallible => {
                    let arguments = ($(given.$by(desk)?,)*);
                    desk.host.usage.host_calls.$from += 1;
                    functions!(@call $from::$of::$called(desk, arguments; $($by),*))
                        .map(|answer| answer.map(Into::into))
                })*
            }
        }
    };
    (@call $interface:ident::$trait:ident::$method:ident($desk:ident, $arguments:ident;)) => {{
        let () = $arguments;
        $interface::$trait::$method(&mut *$desk.host)
    }};
    (@call $interface:ident::$trait:ident::$method:ident($desk:ident, $arguments:ident; $_a:ident)) => {
        $interface::$trait::$method(&mut *$desk.host, $arguments.0)
    };
    (@call $interface:ident::$trait:ident::$method:ident($desk:ident, $arguments:ident; $_a:ident, $_b:ident)) => {
        $interface::$trait::$method(&mut *$desk.host, $arguments.0, $arguments.1)
    };
    (@call $interface:ident::$trait:ident::$method:ident($desk:ident, $arguments:ident;
        $_a:ident, $_b:ident, $_c:ident)) => {
        $interface::$trait::$method(&mut *$desk.host, $arguments.0, $arguments.1, $arguments.2)
    };
    (@call $interface:ident::$trait:ident::$method:ident($desk:ident, $arguments:ident;
        $_a:ident, $_b:ident, $_c:ident, $_d:ident)) => {
        $interface::$trait::$method(&mut *$desk.host, $arguments.0, $arguments.1, $arguments.2, $arguments.3)
    };
    (@call $interface:ident::$trait:ident::$method:ident($desk:ident, $arguments:ident;
        $_a:ident, $_b:ident, $_c:ident, $_d:ident, $_e:ident)) => {
        $interface::$trait::$method(
            &mut *$desk.host, $arguments.0, $arguments.1, $arguments.2, $arguments.3, $arguments.4
        )
    };
}

functions! {
    ParamsDrop => params::HostParams::drop(own);
    ParamsNames => params::HostParams::names(given);
    ParamsShape => params::HostParams::shape(given, given);
    ParamsCount => params::HostParams::count(given);
    ParamsFilled => params::HostParams::filled(given, given);
    ParamsSelect => params::HostParams::select(given, given);
    ParamsMerge => params::HostParams::merge(given, given);
    ParamsAdd => params::HostParams::add(given, given);
    ParamsSub => params::HostParams::sub(given, given);
    ParamsMul => params::HostParams::mul(given, given);
    ParamsDiv => params::HostParams::div(given, given);
    ParamsMinimum => params::HostParams::minimum(given, given);
    ParamsMaximum => params::HostParams::maximum(given, given);
    ParamsScale => params::HostParams::scale(given, given);
    ParamsOffset => params::HostParams::offset(given, given);
    ParamsAddScaled => params::HostParams::add_scaled(given, given, given);
    ParamsSqrt => params::HostParams::sqrt(given);
    ParamsSquare => params::HostParams::square(given);
    ParamsAbs => params::HostParams::abs(given);
    ParamsSign => params::HostParams::sign(given);
    ParamsClamp => params::HostParams::clamp(given, given, given);
    ParamsSum => params::HostParams::sum(given);
    ParamsDot => params::HostParams::dot(given, given);
    ParamsNorm => params::HostParams::norm(given);
    ParamsNorms => params::HostParams::norms(given);
    ParamsRead => params::HostParams::read(given, given, given);
    ParamsWrite => params::HostParams::write(given);
    WriterDrop => params::HostWriter::drop(own);
    WriterPut => params::HostWriter::put(given, given, given);
    WriterFinish => params::HostWriter::finish(own);
    WeightedSum => params::Host::weighted_sum(given);
    TrimmedMean => params::Host::trimmed_mean(given, given);
    Median => params::Host::median(given);
    MeanNearMedian => params::Host::mean_near_median(given, given);
    Distances => params::Host::distances(given, given);
    PairwiseDistances => params::Host::pairwise_distances(given);
    Gaussian => params::Host::gaussian(given, given);
    RoundDrop => run::HostRound::drop(own);
    RoundNumber => run::HostRound::number(given);
    RoundTotal => run::HostRound::total(given);
    RoundClients => run::HostRound::clients(given);
    RoundRandom => run::HostRound::random(given);
    ClientDrop => run::HostClient::drop(own);
    ClientId => run::HostClient::id(given);
    ClientExamples => run::HostClient::examples(given);
    ClientIdle => run::HostClient::idle(given);
    ClientFigure => run::HostClient::figure(given, given);
    MessageDrop => run::HostMessage::drop(own);
    MessageNew => run::HostMessage::new();
    MessagePutParams => run::HostMessage::put_params(given, given, given);
    MessagePutScalar => run::HostMessage::put_scalar(given, given, given);
    MessagePutBytes => run::HostMessage::put_bytes(given, given, given);
    MessageParams => run::HostMessage::params(given, given);
    MessageScalar => run::HostMessage::scalar(given, given);
    MessageBytes => run::HostMessage::bytes(given, given);
    StateDrop => run::HostState::drop(own);
    StatePutParams => run::HostState::put_params(given, given, given);
    StatePutBytes => run::HostState::put_bytes(given, given, given);
    StateParams => run::HostState::params(given, given);
    StateBytes => run::HostState::bytes(given, given);
    UpdateDrop => run::HostUpdate::drop(own);
    UpdateClient => run::HostUpdate::client(given);
    UpdateExamples => run::HostUpdate::examples(given);
    UpdateSteps => run::HostUpdate::steps(given);
    UpdateLr => run::HostUpdate::lr(given);
    UpdateStaleness => run::HostUpdate::staleness(given);
    UpdateFigure => run::HostUpdate::figure(given, given);
    UpdateDelta => run::HostUpdate::delta(given);
    UpdateMessage => run::HostUpdate::message(given);
    UpdatesDrop => run::HostUpdates::drop(own);
    UpdatesCount => run::HostUpdates::count(given);
    UpdatesGet => run::HostUpdates::get(given, given);
    ObjectiveDrop => run::HostObjective::drop(own);
    ObjectiveProximal => run::HostObjective::proximal(given, given, given);
    ObjectiveLinear => run::HostObjective::linear(given, given);
    ObjectiveCorrect => run::HostObjective::correct(given, given);
    ObjectiveFreeze => run::HostObjective::freeze(given, given);
    ObjectiveFreezeDuring => run::HostObjective::freeze_during(given, given, given, given);
    ObjectiveKeep => run::HostObjective::keep(given, given);
    ObjectiveScaleLr => run::HostObjective::scale_lr(given, given);
    ObjectiveEnvelope => run::HostObjective::envelope(given, given, given, given);
    ObjectivePersonal => run::HostObjective::personal(given, given);
    ObjectiveInitialLoss => run::HostObjective::initial_loss(given, given);
    TrainingDrop => run::HostTraining::drop(own);
    TrainingSteps => run::HostTraining::steps(given);
    TrainingLr => run::HostTraining::lr(given);
    TrainingFigure => run::HostTraining::figure(given, given);
    TrainingBefore => run::HostTraining::before(given);
    TrainingAfter => run::HostTraining::after(given);
    TrainingPersonal => run::HostTraining::personal(given);
    Log => run::Host::log(given, given);
    Report => run::Host::report(given, given);
    DatasetDrop => data::HostDataset::drop(own);
    DatasetExamples => data::HostDataset::examples(given);
    DatasetColumns => data::HostDataset::columns(given);
    DatasetLengths => data::HostDataset::lengths(given);
    DatasetText => data::HostDataset::text(given, given);
    DatasetRandom => data::HostDataset::random(given);
    QuestionsDrop => evaluation::HostQuestions::drop(own);
    QuestionsGenerate => evaluation::HostQuestions::generate(given, given, given);
    QuestionsChat => evaluation::HostQuestions::chat(given, given, given);
    QuestionsLikelihood => evaluation::HostQuestions::likelihood(given, given, given);
    QuestionsPerplexity => evaluation::HostQuestions::perplexity(given, given);
    QuestionsJudge => evaluation::HostQuestions::judge(given, given, given);
    QuestionsExecute => evaluation::HostQuestions::execute(given, given, given, given);
    AnswersDrop => evaluation::HostAnswers::drop(own);
    AnswersCount => evaluation::HostAnswers::count(given);
    AnswersTexts => evaluation::HostAnswers::texts(given, given);
    AnswersLogLikelihood => evaluation::HostAnswers::log_likelihood(given, given);
    AnswersTokens => evaluation::HostAnswers::tokens(given, given);
    AnswersGreedy => evaluation::HostAnswers::greedy(given, given);
    AnswersSucceeded => evaluation::HostAnswers::succeeded(given, given);
    AnswersOutput => evaluation::HostAnswers::output(given, given);
    AnswersFailure => evaluation::HostAnswers::failure(given, given);
    ObservationsDrop => evaluation::HostObservations::drop(own);
    ObservationsAdd => evaluation::HostObservations::add(given, given, given, given);
    ObservationsLabel => evaluation::HostObservations::label(given, given, given, given);
    ObservationsNote => evaluation::HostObservations::note(given, given, given);
    ObservationsNames => evaluation::HostObservations::names(given);
    ObservationsValues => evaluation::HostObservations::values(given, given);
    ObservationsLabels => evaluation::HostObservations::labels(given, given);
    ScoresDrop => evaluation::HostScores::drop(own);
    ScoresAdd => evaluation::HostScores::add(given, given, given, given, given);
    ? DatasetCategories => data::HostDataset::categories(given, given);
    ? DatasetNumbers => data::HostDataset::numbers(given, given);
}
