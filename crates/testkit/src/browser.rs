//! Pages in a real browser: Debian's Chromium, or another one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use headless_chrome::browser::tab::Tab;
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::protocol::cdp::{Emulation, Input, Network, Page as Paging};
use headless_chrome::{Browser, LaunchOptions};
use serde_json::Value;

use crate::missing::{Missing, not_tested};

/// Timeout of conditions.
const PATIENCE_MILLISECONDS: u64 = 60_000;

/// A page, and a log of the addresses it requested.
pub struct Page {
    /// The tab, for features that this type lacks.
    pub tab: Arc<Tab>,
    requests: Arc<Mutex<Vec<String>>>,
    _browser: Browser,
}

/// The browser for tests: `CHROMIUM` in the environment, or the usual paths of Debian and others.
pub fn chromium() -> Option<PathBuf> {
    let given = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let known =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    given.into_iter().chain(known).find(|path| path.exists())
}

/// A key that is held while the mouse is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// No key.
    Nothing,
    /// Alt.
    Alt,
    /// Shift.
    Shift,
}

impl Held {
    /// Its bit in the browser's protocol.
    fn bit(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Alt => 1,
            Self::Shift => 8,
        }
    }
}

impl Page {
    /// Opens an empty page of this size; without a browser reports this and returns `None`.
    pub fn new(width: u32, height: u32) -> Option<Self> {
        let Some(path) = chromium() else {
            not_tested(Missing::Chromium, "no browser, a page was not tried");
            return None;
        };
        let options = LaunchOptions {
            path: Some(path),
            // As root, as in containers, Chromium cannot use its sandbox.
            sandbox: false,
            window_size: Some((width, height)),
            idle_browser_timeout: Duration::from_millis(2 * PATIENCE_MILLISECONDS),
            ..LaunchOptions::default()
        };
        let browser = Browser::new(options).expect("the browser starts");
        let tab = browser.new_tab().expect("a tab");
        tab.set_default_timeout(Duration::from_millis(PATIENCE_MILLISECONDS));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&requests);
        tab.enable_debugger().expect("a tab that can be debugged");
        tab.call_method(Network::Enable {
            max_total_buffer_size: None,
            max_resource_buffer_size: None,
            max_post_data_size: None,
            report_direct_socket_traffic: None,
            enable_durable_messages: None,
        })
        .expect("a tab that reports its requests");
        let confirming = Arc::downgrade(&tab);
        tab.add_event_listener(Arc::new(move |event: &Event| match event {
            Event::NetworkRequestWillBeSent(event) => {
                heard.lock().expect("a whole list").push(event.params.request.url.clone());
            }
            // A page with unsaved work shows a dialog before it is left. Events are delivered on the thread that also
            // delivers the answer, so the dialog is confirmed from another thread.
            Event::PageJavascriptDialogOpening(_) => {
                if let Some(tab) = confirming.upgrade() {
                    thread::spawn(move || tab.get_dialog().accept(None));
                }
            }
            _ => {}
        }))
        .expect("a tab that can be listened to");
        Some(Self { tab, requests, _browser: browser })
    }

    /// Navigates to an address.
    pub fn go(&self, address: &str) {
        self.tab.navigate_to(address).and_then(Tab::wait_until_navigated).expect("the page loads");
    }

    /// Emulates a phone: a screen size and touch input.
    pub fn be_a_phone(&self, width: u32, height: u32) {
        self.tab
            .call_method(Emulation::SetDeviceMetricsOverride {
                width,
                height,
                device_scale_factor: 2.0,
                mobile: true,
                scale: None,
                screen_width: None,
                screen_height: None,
                position_x: None,
                position_y: None,
                dont_set_visible_size: None,
                screen_orientation: None,
                viewport: None,
                display_feature: None,
                device_posture: None,
            })
            .expect("a size");
    }

    /// Evaluates an expression of the page's script; promises are awaited.
    ///
    /// # Panics
    /// If it throws.
    pub fn ask(&self, script: &str) -> Value {
        let answer = self.tab.evaluate(script, true).unwrap_or_else(|error| panic!("{script}: {error}"));
        answer.value.unwrap_or(Value::Null)
    }

    /// Waits until a condition of the page holds.
    ///
    /// # Panics
    /// If it does not hold within the timeout.
    pub fn wait_for(&self, condition: &str) {
        let script = format!(
            "new Promise((resolve) => {{ const begin = Date.now(); (function look() {{ \
             if ({condition}) resolve(true); else if (Date.now() - begin > {PATIENCE_MILLISECONDS}) resolve(false); \
             else setTimeout(look, 10); }})(); }})"
        );
        if self.ask(&script) != true {
            panic!("{condition} never held. The page says:\n{}", self.ask("document.body.innerText"));
        }
    }

    /// Clicks the centre of an element.
    pub fn click(&self, selector: &str) {
        self.tab.find_element(selector).and_then(|element| element.click().map(|_| ())).expect(selector);
    }

    /// Presses the left button at the first point, drags through the others, and releases it.
    pub fn drag(&self, points: &[(f64, f64)]) {
        self.drag_holding(Held::Nothing, points);
    }

    /// Like [`Page::drag`], while a key is held.
    pub fn drag_holding(&self, held: Held, points: &[(f64, f64)]) {
        use Input::DispatchMouseEventTypeOption::{MouseMoved, MousePressed, MouseReleased};
        let (first, last) = (points[0], points[points.len() - 1]);
        self.mouse(MouseMoved, first, 0, held);
        self.mouse(MousePressed, first, 1, held);
        for &point in points {
            self.mouse(MouseMoved, point, 1, held);
        }
        self.mouse(MouseReleased, last, 0, held);
    }

    fn mouse(&self, kind: Input::DispatchMouseEventTypeOption, (x, y): (f64, f64), buttons: u32, held: Held) {
        self.tab
            .call_method(Input::DispatchMouseEvent {
                Type: kind,
                x,
                y,
                modifiers: Some(held.bit()),
                timestamp: None,
                button: Some(Input::MouseButton::Left),
                buttons: Some(buttons),
                click_count: Some(1),
                force: None,
                tangential_pressure: None,
                tilt_x: None,
                tilt_y: None,
                twist: None,
                delta_x: None,
                delta_y: None,
                pointer_Type: None,
            })
            .expect("a mouse");
    }

    /// Presses a key, named as in `KeyboardEvent.key`.
    pub fn press(&self, key: &str) {
        self.tab.press_key(key).expect(key);
    }

    /// Selects a file for an input.
    pub fn choose_file(&self, selector: &str, file: &Path) {
        self.choose_files(selector, &[file]);
    }

    /// Selects several files for an input.
    pub fn choose_files(&self, selector: &str, files: &[impl AsRef<Path>]) {
        let files: Vec<&str> =
            files.iter().map(|file| file.as_ref().to_str().expect("a path of text")).collect();
        self.tab
            .find_element(selector)
            .and_then(|input| input.set_input_files(&files).map(|_| ()))
            .expect(selector);
    }

    /// Saves downloads in a folder.
    pub fn download_to(&self, folder: &Path) {
        self.tab
            .call_method(Paging::SetDownloadBehavior {
                behavior: Paging::SetDownloadBehaviorBehaviorOption::Allow,
                download_path: Some(folder.display().to_string()),
            })
            .expect("a folder for downloads");
    }

    /// All requested addresses, in order.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("a whole list").clone()
    }
}
