//! The terminal: taken, drawn on, and given back whatever happens.

#[cfg_attr(unix, path = "screen/unix.rs")]
#[cfg_attr(windows, path = "screen/windows.rs")]
mod system;

use std::io::{Stdout, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::{Clock as _, ExitStatus, SecretString};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use zeroize::Zeroizing;

use super::model::Effect;
use super::state::State;
use super::update::{Event, begin, update};
use super::view::{self, Theme};
use super::work;
use crate::app::App;
use crate::error::CliError;

/// How long a key is waited for before the screen is looked after.
const PATIENCE: Duration = Duration::from_millis(100);

/// The status of a program that the end of its terminal ended: 128 and the number of `SIGHUP`.
const HUNG_UP: u8 = 129;

/// Shows the screen until the person or a signal ends it.
pub(crate) fn run(app: &App) -> Result<ExitStatus, CliError> {
    // What is wrong with the configuration is said as every command says it.
    let project = work::project(app)?;
    let signal = Arc::new(AtomicUsize::new(0));
    system::note_signals(&signal).map_err(CliError::Output)?;
    let mut state = State::new(project, app.clock.now());
    let screen = Screen::take().map_err(CliError::Output)?;
    let outcome = Loop::new(app, screen, signal).run(&mut state);
    // Before anything is said about how it ended.
    drop(std::panic::take_hook());
    outcome
}

/// The terminal while it is ours.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    fn take() -> std::io::Result<Self> {
        enable_raw_mode()?;
        let owner = std::thread::current().id();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Work that panics says so on the screen.
            if std::thread::current().id() == owner {
                give_back();
                before(panic);
            }
        }));
        let entered = execute!(
            std::io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste
        );
        let terminal =
            entered.and_then(|()| Terminal::new(CrosstermBackend::new(std::io::stdout())));
        match terminal {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    fn draw(&mut self, state: &State, theme: Theme) -> std::io::Result<()> {
        self.terminal
            .draw(|frame| view::draw(frame, state, theme))
            .map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The screen goes with what was on it, also on terminals that have no second one.
        let _ = execute!(
            std::io::stdout(),
            ratatui::crossterm::terminal::Clear(ratatui::crossterm::terminal::ClearType::All)
        );
        give_back();
    }
}

/// The terminal as it was. Doing it twice does no harm.
fn give_back() {
    let _ = execute!(
        std::io::stdout(),
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

/// Keys, answers and time, one after the other.
struct Loop<'a> {
    app: &'a App,
    screen: Screen,
    theme: Theme,
    signal: Arc<AtomicUsize>,
    sender: Sender<Event>,
    answers: Receiver<Event>,
    started: Instant,
}

impl<'a> Loop<'a> {
    fn new(app: &'a App, screen: Screen, signal: Arc<AtomicUsize>) -> Self {
        let (sender, answers) = mpsc::channel();
        Self {
            app,
            screen,
            theme: Theme {
                colour: app.printer.colour(),
            },
            signal,
            sender,
            answers,
            started: Instant::now(),
        }
    }

    fn run(mut self, state: &mut State) -> Result<ExitStatus, CliError> {
        let effects = begin(state);
        self.carry_out(effects, state)?;
        while !state.is_over {
            self.screen
                .draw(state, self.theme)
                .map_err(CliError::Output)?;
            if let Some(number) = self.asked_to_end() {
                return Ok(ExitStatus::Child(number));
            }
            let Some(events) = self.events()? else {
                return Ok(ExitStatus::Child(HUNG_UP));
            };
            for event in events {
                let effects = update(state, event);
                self.carry_out(effects, state)?;
            }
        }
        Ok(ExitStatus::Success)
    }

    /// The exit status that a signal asks for.
    fn asked_to_end(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => Some(u8::try_from(128 + number).unwrap_or(u8::MAX)),
        }
    }

    /// Waits a moment for keys; then what else happened. `None`: the terminal is gone.
    fn events(&self) -> Result<Option<Vec<Event>>, CliError> {
        let mut events = Vec::new();
        // What was read at once is given out one after the other, also when nothing more comes.
        let mut is_ready = match system::keyboard(PATIENCE).map_err(CliError::Output)? {
            Keyboard::Gone => return Ok(None),
            Keyboard::Silent => false,
            Keyboard::Ready => true,
        };
        while is_ready && event::poll(Duration::ZERO).map_err(CliError::Output)? {
            match event::read().map_err(CliError::Output)? {
                event::Event::Key(key) => events.push(Event::Key(key)),
                event::Event::Paste(text) => events.push(Event::Paste(Zeroizing::new(text))),
                _ => {}
            }
            let now = system::keyboard(Duration::ZERO).map_err(CliError::Output)?;
            is_ready = !matches!(now, Keyboard::Gone);
        }
        events.extend(self.answers.try_iter());
        events.push(Event::Tick {
            elapsed: self.started.elapsed(),
            now: self.app.clock.now(),
        });
        Ok(Some(events))
    }

    fn carry_out(&mut self, effects: Vec<Effect>, state: &State) -> Result<(), CliError> {
        for effect in effects {
            match effect {
                Effect::Start {
                    id,
                    chosen,
                    task,
                    value,
                } => {
                    let app = work::choose(self.app, &chosen);
                    work::start(&app, id, task, value, self.sender.clone());
                }
                Effect::Copy(value) => copy(&value).map_err(CliError::Output)?,
                // Both of the two buffers that are drawn into in turn.
                Effect::Wipe => {
                    for _ in 0..2 {
                        self.screen
                            .draw(state, self.theme)
                            .map_err(CliError::Output)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// How the keyboard is.
enum Keyboard {
    Ready,
    Silent,
    Gone,
}

/// Tells the terminal to take a value into its clipboard (OSC 52).
fn copy(value: &SecretString) -> std::io::Result<()> {
    let encoded = Zeroizing::new(BASE64.encode(value.expose_secret()));
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(b"\x1b]52;c;")?;
    stdout.write_all(encoded.as_bytes())?;
    stdout.write_all(b"\x07")?;
    stdout.flush()
}
