//! Trains a model: `train RECIPE DATA OUT [--minutes N] [--threads N]`; again to go on.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;

use pipeline::{Progress, TrainRequest};

/// A line for every tenth of a stage.
#[derive(Default)]
struct Lines {
    last: Mutex<(String, u32)>,
}

impl Progress for Lines {
    fn stage(&self, name: &str, fraction: f32) {
        let tenth = (fraction * 10.0) as u32;
        if let Ok(mut last) = self.last.lock()
            && (last.0 != name || last.1 != tenth)
        {
            *last = (name.to_owned(), tenth);
            let _ = writeln!(std::io::stderr(), "{name}: {:.0} %", fraction * 100.0);
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(recipe), Some(data), Some(out)) = (arguments.next(), arguments.next(), arguments.next()) else {
        let _ = writeln!(std::io::stderr(), "usage: train RECIPE DATA OUT [--minutes N] [--threads N]");
        return ExitCode::from(2);
    };
    let mut request =
        TrainRequest { recipe: recipe.into(), data: data.into(), out: out.into(), ..TrainRequest::default() };
    let mut pool = rayon::ThreadPoolBuilder::new();
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        match (option.as_str(), value.parse::<f64>()) {
            ("--minutes", Ok(minutes)) => request.minutes = Some(minutes),
            ("--threads", Ok(threads)) => pool = pool.num_threads(threads as usize),
            _ => return ExitCode::from(2),
        }
    }
    let Ok(pool) = pool.build() else { return ExitCode::FAILURE };
    match pool.install(|| pipeline::train(&request, &Lines::default())) {
        Ok(summary) => match serde_json::to_string_pretty(&summary) {
            Ok(text) => {
                let _ = writeln!(std::io::stdout(), "{text}");
                ExitCode::SUCCESS
            }
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
