//! The queue: load, jobs, cancellation, and stops of the server.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lacuna::Watch;
use lacuna_serve::Bounds;
use serde_json::Value;
use testkit::http::{Part, Request, connect, hang_up, receive};

use crate::server::{Running, config, mask, models, photo, png};
use crate::support::{Before, Gated, code, eventually, form, json, seeded, small};

#[test]
fn a_full_queue_says_when_to_come_back() {
    let gated = Gated::start(Bounds { queue: 2, per_client: 2, ..Bounds::default() });
    let address = gated.server.address;
    let from = |last: u8| Some(IpAddr::from(Ipv4Addr::new(127, 0, 0, last)));
    let send = |seed: usize, last: u8| {
        let mut stream = connect(address, from(last));
        stream.write_all(&seeded(seed).bytes()).unwrap();
        stream
    };
    let waiting = |count: usize| {
        eventually("the queue's length", || {
            json(&Request::new("GET", "/v1/health").send(address))["queued"] == count
        });
    };
    let mut streams = vec![send(1, 1)];
    gated.wait_for_running();
    streams.push(send(2, 1));
    waiting(1);
    let busy = seeded(3).send_from(address, from(1));
    assert_eq!((busy.status, code(&busy).as_str()), (429, "client-busy"));
    streams.push(send(4, 2));
    waiting(2);
    let full = seeded(5).send_from(address, from(3));
    assert_eq!((full.status, code(&full).as_str()), (429, "queue-full"));
    for refused in [busy, full] {
        let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=120).contains(&seconds));
    }
    (0..3).for_each(|_| gated.open.send(()).unwrap());
    for mut stream in streams {
        assert_eq!(receive(&mut stream).status, 200);
    }
}

#[test]
fn a_job_has_its_time() {
    let gated = Gated::start(Bounds { job: Duration::from_millis(200), ..Bounds::default() });
    let response = small().send(gated.server.address);
    assert_eq!((response.status, code(&response).as_str()), (504, "job-timeout"));
    eventually("the end of the work", || gated.stopped.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_client_that_goes_away_cancels_its_job() {
    let gated = Gated::start(Bounds::default());
    let mut stream = connect(gated.server.address, None);
    stream.write_all(&small().bytes()).unwrap();
    gated.wait_for_running();
    hang_up(&stream);
    eventually("the end of the work", || gated.stopped.load(Ordering::SeqCst) == 1);
    eventually("the count of the cancelled request", || {
        let metrics = Request::new("GET", "/v1/metrics").send(gated.server.address);
        metrics.text().contains("lacuna_requests_total{route=\"/v1/inpaint\",status=\"499\"} 1")
    });
    // The worker is free for others.
    gated.open.send(()).unwrap();
    assert_eq!(seeded(7).send(gated.server.address).status, 200);
}

#[test]
fn equal_requests_in_flight_are_computed_once() {
    let gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let mut streams: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = connect(address, None);
            stream.write_all(&small().bytes()).unwrap();
            stream
        })
        .collect();
    gated.wait_for_running();
    eventually("two that joined", || {
        Request::new("GET", "/v1/metrics").send(address).text().contains("lacuna_jobs_shared_total 2")
    });
    // The first client to disconnect does not affect the others.
    hang_up(&streams.remove(0));
    gated.open.send(()).unwrap();
    let bodies: Vec<_> = streams.iter_mut().map(|stream| receive(stream).body).collect();
    assert!(bodies[0] == bodies[1] && !bodies[0].is_empty());
    assert!(gated.running.try_recv().is_err(), "one fill for all");
}

#[test]
fn a_job_is_followed_and_fetched() {
    let gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let asked = form("/v1/inpaint?async", &png(photo(48, 40)), &png(mask(48, 40)), &[]).send(address);
    assert_eq!(asked.status, 202);
    let id = json(&asked)["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/jobs/{id}");
    assert_eq!(asked.header("location"), Some(path.as_str()));
    gated.wait_for_running();
    let get = |rest: &str| Request::new("GET", &format!("{path}{rest}")).send(address);
    eventually("progress", || json(&get(""))["progress"].as_f64() == Some(0.25));
    assert_eq!(json(&get(""))["state"], "running");
    assert_eq!(code(&get("/result")), "job-unfinished");
    let mut events = connect(address, None);
    events.write_all(&Request::new("GET", &format!("{path}/events")).bytes()).unwrap();
    gated.open.send(()).unwrap();
    let events = receive(&mut events);
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let states: Vec<Value> = events
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(states.last().unwrap()["state"], "done", "{states:?}");
    assert_eq!(states.last().unwrap()["progress"], 1.0);
    let result = get("/result");
    assert_eq!(result.status, 200);
    assert!(image::load_from_memory(&result.body).is_ok());
    assert_eq!(Request::new("DELETE", &path).send(address).status, 204);
    assert_eq!(code(&get("")), "job-unknown");
}

#[test]
fn a_job_is_cancelled() {
    let gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let ask = |seed: usize| {
        let seed = seed.to_string();
        let more = [Part::value("seed", &seed)];
        let asked = form("/v1/inpaint?async", &png(photo(48, 40)), &png(mask(48, 40)), &more).send(address);
        format!("/v1/jobs/{}", json(&asked)["id"].as_str().unwrap())
    };
    let running = ask(1);
    gated.wait_for_running();
    let waiting = ask(2);
    let position = json(&Request::new("GET", &waiting).send(address));
    assert_eq!((position["state"].as_str(), position["position"].as_u64()), (Some("queued"), Some(0)));
    // A client that follows the job is informed.
    let mut events = connect(address, None);
    events.write_all(&Request::new("GET", &format!("{running}/events")).bytes()).unwrap();
    assert_eq!(Request::new("DELETE", &waiting).send(address).status, 204);
    assert_eq!(Request::new("DELETE", &running).send(address).status, 204);
    let response = receive(&mut events);
    // Either it arrived before the end, or the job no longer exists.
    assert!(response.status == 404 || response.text().contains("\"cancelled\""), "{}", response.text());
    eventually("the end of the work", || gated.stopped.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_panic_answers_with_a_name_and_the_worker_lives_on() {
    let first = AtomicUsize::new(0);
    let panics = Before(move |_: &Watch| {
        assert!(first.fetch_add(1, Ordering::SeqCst) > 0, "the secret of /home");
        Ok(())
    });
    let server = Running::start(config(), models(Arc::new(panics)));
    let response = small().send(server.address);
    assert_eq!((response.status, code(&response).as_str()), (500, "internal"));
    let document = json(&response);
    assert_eq!(document["id"].as_str().unwrap().len(), 32);
    assert!(!response.text().contains("secret") && !response.text().contains(".rs"), "{document}");
    assert_eq!(seeded(1).send(server.address).status, 200);
}

#[test]
fn a_stop_finishes_accepted_jobs_and_refuses_new_ones() {
    let mut gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let mut running = connect(address, None);
    running.write_all(&seeded(1).bytes()).unwrap();
    gated.wait_for_running();
    let mut waiting = connect(address, None);
    waiting.write_all(&seeded(2).bytes()).unwrap();
    eventually("the second job", || json(&Request::new("GET", "/v1/health").send(address))["queued"] == 1);
    gated.server.ask_to_stop();
    eventually("the stop", || json(&Request::new("GET", "/v1/health").send(address))["status"] == "stopping");
    let refused = seeded(3).send(address);
    assert_eq!((refused.status, code(&refused).as_str()), (503, "stopping"));
    (0..2).for_each(|_| gated.open.send(()).unwrap());
    assert_eq!(receive(&mut running).status, 200);
    assert_eq!(receive(&mut waiting).status, 200);
    gated.server.wait();
    assert!(std::net::TcpStream::connect(address).is_err(), "the listener is closed");
}

#[test]
fn results_can_be_fetched_after_a_stop() {
    let mut gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let asked = form("/v1/inpaint?async", &png(photo(48, 40)), &png(mask(48, 40)), &[]).send(address);
    let path = asked.header("location").unwrap().to_owned();
    gated.wait_for_running();
    let mut events = connect(address, None);
    events.write_all(&Request::new("GET", &format!("{path}/events")).bytes()).unwrap();
    gated.server.ask_to_stop();
    gated.open.send(()).unwrap();
    assert!(receive(&mut events).text().contains("\"done\""));
    assert_eq!(Request::new("GET", &format!("{path}/result")).send(address).status, 200);
    // All results were fetched, so the server does not wait for the rest of the grace period.
    gated.server.wait();
}
