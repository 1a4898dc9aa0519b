//! What TCP adds to a message's way: packets that are sent again, and windows that must grow first.
//!
//! **Loss.** Each packet of a message is lost with the same chance, independently. A message of one
//! packet waits for its timer, the round trip plus [`Loss::timeout`], twice as long each further
//! time: nothing behind it tells of the loss. A longer message learns of losses from the
//! acknowledgements of the rest (selective, with time-based detection: RFC 2018, RFC 8985) and pays one
//! round trip for each round in which a packet was lost. No message is lost for good. What is sent
//! again takes the uplink right behind the message, not when it is due, so that the uplink stays one
//! queue. Draws are a function of content, edge and round.
//!
//! **Slow start.** On a connection that is new or idle a message of more than the initial window
//! leaves window by window, each a round trip after the one before and twice as large, until the
//! window covers what is left or the round trip at the rate of the slower link (RFC 5681, RFC 6928).
//! Meanwhile the uplink serves others. An idle window halves with each timeout (RFC 2861). Only
//! messages above the initial window grow a window or keep it open.
//!
//! Both delays are known when a message is sent. Left out: congestion windows that shrink by loss,
//! the connection's own handshake, the receiver's window, delayed acknowledgements, lost
//! acknowledgements, and packets of one message that hold up the next.

use crate::network::{Outgoing, edge};
use quorate_core::math::{ln, ln_1p};
use quorate_core::{NodeId, Span, Time, open01_at};
use std::collections::BTreeMap;

/// Packets that get lost, and are sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Packets lost, in a million.
    pub ppm: u32,
    /// What a sender waits for the acknowledgement of a packet, besides the round trip, before it
    /// sends it again.
    pub timeout: Span,
}

impl Loss {
    /// No loss.
    pub const NONE: Self = Self {
        ppm: 0,
        // source: Linux `TCP_RTO_MIN`, the least variation that its timer adds to the round trip;
        // RFC 6298 would have 1 s in all.
        timeout: Span::from_ms(200),
    };
}

/// How large messages start on idle connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlowStart {
    /// Packets that may leave at once on a connection that is new or idle.
    // source: RFC 6928, ten segments.
    pub initial_packets: u32,
    /// The window of a connection halves whenever it is idle for this and a round trip.
    pub idle: Span,
}

/// Header of a packet: IPv4 and TCP without options. source: RFC 791, RFC 9293.
const HEADER_BYTES: u64 = 40;
/// The least that a packet carries. source: RFC 9293, 3.7.1, the default for IPv4.
const LEAST_SEGMENT: u64 = 536;
/// The longest wait for a timer. source: Linux `TCP_RTO_MAX`.
const LONGEST_TIMEOUT: Span = Span::from_s(120);
/// How often a packet is sent again; the last counts as arrived. source: Linux `tcp_retries2`, after
/// which a connection is given up.
const RETRIES: u64 = 15;
/// Windows that are kept before those that no longer matter are looked for.
const FEW: usize = 1_024;

/// What sending again comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Again {
    /// Timers and round trips.
    pub(crate) waits: Span,
    /// Bytes that leave once more.
    pub(crate) bytes: u64,
}

impl Again {
    const NOTHING: Self = Self {
        waits: Span::ZERO,
        bytes: 0,
    };
}

/// The state of connections.
pub(crate) struct Tcp {
    loss: Loss,
    slow_start: Option<SlowStart>,
    /// What a packet carries.
    segment: u64,
    /// Windows above the initial one, by edge.
    open: BTreeMap<u64, Window>,
    /// How many there may be before the next look.
    many: usize,
}

/// A window that has grown.
#[derive(Clone, Copy)]
struct Window {
    bytes: u64,
    /// When it was last used.
    used: Time,
    /// When idleness has taken it back.
    closed: Time,
}

impl Tcp {
    pub(crate) fn new(loss: Loss, slow_start: Option<SlowStart>, mtu_bytes: u64) -> Self {
        Self {
            loss,
            slow_start,
            segment: mtu_bytes.saturating_sub(HEADER_BYTES).max(LEAST_SEGMENT),
            open: BTreeMap::new(),
            many: FEW,
        }
    }

    /// Whether it adds nothing to any message.
    pub(crate) const fn is_plain(&self) -> bool {
        self.loss.ppm == 0 && self.slow_start.is_none()
    }

    /// What a message has to send again where so many packets in a million are lost besides.
    pub(crate) fn again(&self, message: &Outgoing, to: NodeId, burst: u32, rtt: Span) -> Again {
        let (own, burst) = (u64::from(self.loss.ppm), u64::from(burst));
        let ppm = own + burst - own * burst / 1_000_000;
        if ppm == 0 {
            return Again::NOTHING;
        }
        let packets = message.bytes.div_ceil(self.segment).max(1);
        let key = message.content ^ LOST;
        let mut waits = Span::ZERO;
        let (mut sent, mut again) = (packets, 0);
        for round in 0..RETRIES {
            let lost = binomial(sent, ppm, |i| {
                open01_at(key, &[edge(message.from, to), round, i])
            });
            if lost == 0 {
                break;
            }
            waits += if packets == 1 {
                let timer = u128::from((rtt + self.loss.timeout).ns()) << round;
                let longest = u128::from(LONGEST_TIMEOUT.ns());
                Span::from_ns(timer.min(longest) as u64)
            } else {
                rtt
            };
            again += lost;
            sent = lost;
        }
        let bytes = (u128::from(again) * u128::from(message.bytes)).div_ceil(packets.into()) as u64;
        Again { waits, bytes }
    }

    /// How long the windows of a message hold it up that begins to leave at `leaves`; `rate` says
    /// how long so many bytes take.
    pub(crate) fn slow_start(
        &mut self,
        message: &Outgoing,
        to: NodeId,
        (leaves, rtt): (Time, Span),
        rate: impl Fn(u64) -> Span,
    ) -> Span {
        let Some(config) = self.slow_start else {
            return Span::ZERO;
        };
        let initial = u64::from(config.initial_packets) * self.segment;
        if message.bytes <= initial {
            return Span::ZERO;
        }
        let key = edge(message.from, to);
        let timeout = rtt + config.idle;
        let mut window = self
            .open
            .get(&key)
            .map_or(initial, |w| w.at(leaves, timeout));
        window = window.max(initial);
        let (mut left, mut waits) = (message.bytes, Span::ZERO);
        while left > window && rate(window) < rtt {
            waits += rtt - rate(window);
            left -= window;
            window *= 2;
        }
        if window > initial {
            let used = leaves + rate(message.bytes) + waits;
            // Halved so often it is the initial one again.
            let halvings = window.div_ceil(initial).next_power_of_two().ilog2();
            let closed = used + timeout * u64::from(halvings);
            let bytes = window;
            self.open.insert(
                key,
                Window {
                    bytes,
                    used,
                    closed,
                },
            );
            self.forget(message.now);
        }
        waits
    }

    /// Drops windows that are the initial one again for everything sent from now on.
    fn forget(&mut self, now: Time) {
        if self.open.len() > self.many {
            self.open.retain(|_, window| window.closed > now);
            self.many = FEW.max(2 * self.open.len());
        }
    }

    #[cfg(test)]
    pub(crate) fn open_windows(&self) -> usize {
        self.open.len()
    }

    /// The connections of a node that crashes are gone.
    pub(crate) fn reset(&mut self, node: NodeId) {
        let ends = |edge: u64| [edge >> 32, edge & u64::from(u32::MAX)];
        self.open
            .retain(|&edge, _| !ends(edge).contains(&u64::from(node.get())));
    }
}

/// Sets the draws of loss apart from those of jitter.
const LOST: u64 = 0x6c6f_7373;

impl Window {
    /// Its size at `now`, never less than nothing.
    fn at(self, now: Time, timeout: Span) -> u64 {
        let idle = now.saturating_since(self.used);
        let halvings = idle.ns() / timeout.ns().max(1);
        self.bytes >> halvings.min(63)
    }
}

/// How many of `n` are lost at `ppm` in a million: from each to the next the distance is geometric,
/// so that there are as many draws as losses, and one more.
fn binomial(n: u64, ppm: u64, draw: impl Fn(u64) -> f64) -> u64 {
    let per_skip = ln_1p(-(ppm as f64) / 1e6);
    let (mut at, mut lost) = (0_u64, 0);
    loop {
        let skipped = (ln(draw(lost)) / per_skip) as u64;
        at = at.saturating_add(skipped).saturating_add(1);
        if at > n {
            return lost;
        }
        lost += 1;
    }
}

#[cfg(test)]
mod tests {
    use crate::network::{Network, NetworkConfig};
    use crate::{Loss, SlowStart};
    use quorate_core::math::{pow, sqrt};
    use quorate_core::{NodeId, Seed, Span, Time};

    const A: NodeId = NodeId::new(0);
    const B: NodeId = NodeId::new(1);
    const RTT: Span = Span::from_ms(80);
    /// What a packet carries.
    const PACKET: u64 = 1_460;

    fn network(up_bps: u64, loss_ppm: u32, slow_start: bool) -> Network {
        let one_way = vec![vec![Span::from_ms(40)]];
        let mut config = NetworkConfig::alike(vec![0; 3], one_way, up_bps, 0);
        config.loss.ppm = loss_ppm;
        config.slow_start = slow_start.then_some(SlowStart {
            initial_packets: 10,
            idle: Loss::NONE.timeout,
        });
        Network::new(config, &[], Seed::new(1, 0))
    }

    /// How much longer than its latency and transfer a message of so many bytes takes that is sent
    /// at an instant.
    fn extra(net: &mut Network, bytes: u64, content: u64, at: Time) -> Span {
        let message = net.prepare(A, bytes, content, (at, at));
        let transit = net.send(&message, B);
        transit.arrives.since(transit.leaves) - net.transfer(&message, B) - Span::from_ms(40)
    }

    fn moments(samples: &[f64]) -> (f64, f64) {
        let n = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / n;
        let squares = samples.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
        (mean, squares / (n - 1.0))
    }

    fn close(what: &str, got: f64, want: f64, sd: f64, n: usize) {
        let error = 4.0 * sd / sqrt(n as f64);
        assert!(
            (got - want).abs() < error,
            "{what}: {got}, not {want} ± {error}"
        );
    }

    /// One packet at loss p waits (2^k − 1) timers with probability (1 − p)·p^k: a mean of
    /// p/(1 − 2p) timers; the mean of the square is Σ (4^k − 2·2^k + 1)(1 − p)p^k.
    #[test]
    fn a_lost_packet_waits_for_its_timer() {
        let p = 0.1;
        let mut net = network(0, 100_000, false);
        let n = 40_000;
        let timer = (RTT + Loss::NONE.timeout).as_ms();
        let waits: Vec<f64> = (0..n)
            .map(|i| extra(&mut net, 200, i, Time::ZERO).as_ms() / timer)
            .collect();
        let once = waits.iter().filter(|w| **w > 0.0).count() as f64 / n as f64;
        close("lost", once, p, sqrt(p * (1.0 - p)), waits.len());
        let mean = p / (1.0 - 2.0 * p);
        let square = (1.0 - p) * (1.0 / (1.0 - 4.0 * p) - 2.0 / (1.0 - 2.0 * p) + 1.0 / (1.0 - p));
        let var = square - mean * mean;
        close("wait", moments(&waits).0, mean, sqrt(var), waits.len());
        assert!(
            (moments(&waits).1 / var - 1.0).abs() < 0.2,
            "{:?}",
            moments(&waits)
        );
        assert!(
            waits
                .iter()
                .all(|w| [0.0, 1.0, 3.0, 7.0, 15.0, 31.0].contains(w))
        );
    }

    /// Of m packets each is sent again k times with probability (1 − p)·p^k, independently: a mean
    /// of m·p/(1 − p) and a variance of m·p/(1 − p)².
    #[test]
    fn a_long_message_sends_its_lost_packets_again() {
        let (p, m) = (0.05, 40);
        // 1.46 kB take 10 ms.
        let mut net = network(1_168_000, 50_000, false);
        let n = 20_000;
        let mut again = Vec::new();
        let mut quiet = 0;
        for i in 0..n {
            let before = net.uplink_busy[0];
            let waits = extra(&mut net, m * PACKET, i, Time::ZERO);
            let more = (net.uplink_busy[0] - before).as_ms() / 10.0 - m as f64;
            // What is sent again takes the link's time, and a round trip each round.
            let rounds = (waits.as_ms() - more * 10.0) / RTT.as_ms();
            assert!((rounds - rounds.round()).abs() < 1e-6 && rounds <= more);
            assert_eq!(rounds > 0.0, more > 0.0);
            quiet += u32::from(rounds <= 1.0);
            again.push(more);
        }
        let (mean, var) = (
            m as f64 * p / (1.0 - p),
            m as f64 * p / (1.0 - p) / (1.0 - p),
        );
        close(
            "sent again",
            moments(&again).0,
            mean,
            sqrt(var),
            again.len(),
        );
        assert!((moments(&again).1 / var - 1.0).abs() < 0.05);
        // At most one round: each packet is lost at most once, 1 − p² each.
        let want = pow(1.0 - p * p, m as f64);
        close(
            "rounds",
            f64::from(quiet) / n as f64,
            want,
            0.3,
            again.len(),
        );
    }

    #[test]
    fn loss_belongs_to_the_content_and_a_burst_adds_to_it() {
        let mut net = network(0, 20_000, false);
        let mut all = |burst: u32| -> Vec<u64> {
            let mut wait = |content| {
                let message = net.prepare(A, 100, content, (Time::ZERO, Time::ZERO));
                net.send_under(&message, B, |_| burst).arrives.ns()
            };
            (0..20_000).map(&mut wait).collect()
        };
        let lost = |all: &[u64]| all.iter().filter(|at| **at > 40_000_000).count() as f64;
        assert_eq!(all(0), all(0));
        // 1 − 0.98 · 0.5 of 20,000.
        assert!((lost(&all(500_000)) - 10_200.0).abs() < 4.0 * 70.7);
        // Every packet, every time: the last try counts.
        assert!((lost(&all(1_000_000)) - 20_000.0).abs() < 0.1);
    }

    /// Ten packets, then twenty, forty …: 1 MB are 685 packets, of which six round trips carry 630.
    #[test]
    fn a_large_message_grows_its_window() {
        let rounds = [
            (10, 0),
            (11, 1),
            (30, 1),
            (31, 2),
            (70, 2),
            (630, 5),
            (631, 6),
            (1_270, 6),
        ];
        for (packets, round_trips) in rounds {
            let mut net = network(0, 0, true);
            let got = extra(&mut net, packets * PACKET, 1, Time::ZERO);
            assert_eq!(got, RTT * round_trips, "{packets} packets");
        }
    }

    /// At 1.168 Mbit/s a packet takes 10 ms: ten cover a round trip of 80 ms. At four times that,
    /// ten take 25 ms and twenty 50 ms of the 80; forty cover it.
    #[test]
    fn a_window_that_covers_the_round_trip_holds_nothing_up() {
        let mut net = network(1_168_000, 0, true);
        assert_eq!(extra(&mut net, 1_000 * PACKET, 1, Time::ZERO), Span::ZERO);
        let mut net = network(4_672_000, 0, true);
        let got = extra(&mut net, 1_000 * PACKET, 1, Time::ZERO);
        assert_eq!(got, Span::from_ms(55 + 30));
    }

    #[test]
    fn a_window_closes_while_it_is_idle() {
        let mut net = network(0, 0, true);
        let mut at = |ms| extra(&mut net, 630 * PACKET, 1, Time::ZERO + Span::from_ms(ms));
        // It grew to 320 packets by 400 ms, so that two windows are enough.
        assert_eq!(at(0), RTT * 5);
        assert_eq!(at(500), RTT);
        // The second message doubled it to 640 packets, used until 580 ms; a timeout is 280 ms.
        assert_eq!(at(580 + 279), Span::ZERO);
        assert_eq!(at(580 + 279 + 2 * 280), RTT * 2);
        assert_eq!(at(1_000_000), RTT * 5);
    }

    #[test]
    fn windows_belong_to_an_edge_and_end_with_a_crash() {
        let mut net = network(0, 0, true);
        let big = 630 * PACKET;
        assert_eq!(extra(&mut net, big, 1, Time::ZERO), RTT * 5);
        let back = net.prepare(B, big, 1, (Time::ZERO, Time::ZERO));
        let arrives = net.send(&back, A).arrives;
        assert_eq!(arrives, Time::ZERO + Span::from_ms(40) + RTT * 5);
        net.reset(B, Time::ZERO);
        assert_eq!(extra(&mut net, big, 1, Time::ZERO), RTT * 5);
    }

    #[test]
    fn few_windows_are_kept() {
        let n = 3_000_u32;
        let one_way = vec![vec![Span::from_ms(40)]];
        let mut config = NetworkConfig::alike(vec![0; n as usize], one_way, 0, 0);
        config.slow_start = Some(SlowStart {
            initial_packets: 10,
            idle: Loss::NONE.timeout,
        });
        let mut net = Network::new(config, &[], Seed::new(1, 0));
        for i in 1..n {
            let at = Time::ZERO + Span::from_s(10) * u64::from(i);
            let message = net.prepare(A, 630 * PACKET, 1, (at, at));
            net.send(&message, NodeId::new(i));
        }
        assert!(
            net.open_windows() <= super::FEW + 1,
            "{}",
            net.open_windows()
        );
    }
}
