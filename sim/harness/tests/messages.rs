//! Every way to give bad input ends in one line that says what was wrong and where, a hint, and a
//! documented exit code; and leaves nothing half-written behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A scratch folder that is removed at the end.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("the scratch folder can be written");
        path
    }

    /// Runs the binary inside the folder.
    fn quorate(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(args)
            .current_dir(self.path())
            .output()
            .expect("the binary runs")
    }

    /// Exit code and standard error.
    fn complaint(&self, args: &[&str]) -> String {
        let output = self.quorate(args);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        format!(
            "exit {}\n{error}",
            output.status.code().expect("not killed")
        )
    }
}

/// A small plan in which `line` replaces the line that starts with the same key.
fn plan(line: &str) -> String {
    const PLAN: &str = r#"name = "small"
kind = "curve"
replications = 2

[network]
nodes = 4
regions = ["us-east-1"]

[workload]
name = "hospital"
sites = 4
most_patients = 1000

[load]
offered_tps = [5.0]
duration_s = 60.0
drain_s = 60.0

[[engines]]
name = "qbft"
config = { period_ms = 1000 }
"#;
    let key = line.split('=').next().expect("a key").trim();
    let mut found = false;
    let replaced: Vec<&str> = PLAN
        .lines()
        .map(|old| {
            let same = old.split('=').next().is_some_and(|k| k.trim() == key);
            found |= same;
            if same { line } else { old }
        })
        .collect();
    assert!(found || line.is_empty(), "{line} replaces nothing");
    replaced.join("\n")
}

fn complaint_about(line: &str) -> String {
    let scratch = Scratch::new();
    scratch.write("plan.toml", &plan(line));
    let text = scratch.complaint(&["run", "plan.toml"]);
    let left: Vec<_> = std::fs::read_dir(scratch.path())
        .expect("readable")
        .collect();
    let results = scratch.path().join("results");
    let empty = !results.exists()
        || std::fs::read_dir(&results)
            .expect("readable")
            .next()
            .is_none();
    assert!(empty && left.len() <= 2, "something was left behind");
    text
}

macro_rules! complains {
    ($($name:ident: $line:expr;)+) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(complaint_about($line));
        }
    )+};
}

complains! {
    unknown_key: "replications = 2\nreplikations = 3";
    wrong_type: "nodes = \"four\"";
    zero_nodes: "nodes = 0";
    unknown_region: "regions = [\"atlantis\"]";
    negative_rate: "offered_tps = [-5.0]";
    negative_duration: "duration_s = -1.0";
    endorsers_where_nobody_endorses: "config = { period_ms = 1000 }\n[execution]\nendorsers = 2";
    more_endorsers_than_peers: "config = { period_ms = 1000 }\n[execution]\nmodel = \"execute-order-validate\"\npeers = 3\nendorsers = 4";
    more_peers_than_nodes: "config = { period_ms = 1000 }\n[execution]\nmodel = \"execute-order-validate\"\npeers = 5";
    endorsements_too_large: "config = { period_ms = 1000 }\n[execution]\nmodel = \"execute-order-validate\"\nendorsement_bytes = 30000";
    one_replication: "replications = 1";
    unknown_kind: "kind = \"guess\"";
    unknown_workload_key: "most_patients = 1000\nmost_patience = 1";
    workload_out_of_range: "most_patients = 0";
    accesses_without_audit: "most_patients = 1000\naccesses_times = 10";
    batches_of_documents: "most_patients = 1000\nbatch_s = 60.0";
    messages_are_not_amended: "most_patients = 1000\ngranularity = \"message\"\namend_share = 0.1";
    accesses_are_no_prescriptions: "most_patients = 1000\ngranularity = \"audit\"\nper_person_year = { erx_issue = 6.0 }";
    a_catalogue_of_accesses: "most_patients = 1000\ngranularity = \"audit\"\ncatalogue = {}";
    more_answers_than_requests: "most_patients = 1000\ncatalogue = { answer_share = 2.0 }";
    a_storm_that_ends_before_it_begins: "most_patients = 1000\nstorm = { from_s = 10.0, until_s = 5.0 }";
    more_offline_than_there_are: "most_patients = 1000\nbacklog = { sites = 9, from_s = 10.0, per_s = 1.0 }";
    a_loop_of_nobody: "most_patients = 1000\nclosed_loop = { users = 0, think_s = 1.0 }";
    unknown_engine_key: "config = { period_s = 1 }";
    unknown_preset: "config = { preset = \"solana\" }";
    more_validators_than_nodes: "config = { validators = 9 }";
    syntax: "nodes = = 4";
    bad_name: "name = \"../up\"";
}

complains! {
    a_scenario_that_asks_nothing: "kind = \"scenario\"";
    a_question_without_an_answer: "kind = \"curve\"\nquestion = \"What?\"";
    an_answer_without_a_question: "kind = \"curve\"\nanswer = \"{reorgs}\"";
    a_figure_that_does_not_end: "kind = \"curve\"\nquestion = \"What?\"\nanswer = \"{reorgs\"";
    a_figure_of_no_column: "kind = \"curve\"\nquestion = \"What?\"\nanswer = \"{reorg}\"";
    a_figure_of_another_class: "kind = \"curve\"\nquestion = \"What?\"\nanswer = \"{drug.recall:exposure:max}\"";
    a_figure_of_no_measure: "kind = \"curve\"\nquestion = \"What?\"\nanswer = \"{copies_sold:share}\"";
    a_share_that_is_a_time: "kind = \"curve\"\nquestion = \"What?\"\nanswer = \"{break_glass_audit_lag_ms:share}\"";
    a_figure_of_no_reason: "kind = \"curve\"\nquestion = \"What?\"\nanswer = \"{erx.dispense:rejected:too late}\"";
    a_figure_of_the_reasons_of_no_class: "kind = \"curve\"\nquestion = \"What?\"\nanswer = \"{erx.burn:rejected:no fills left}\"";
}

complains! {
    unknown_latency_table: "nodes = 4\nlatency_table = \"moon-1969\"";
    region_of_another_table: "nodes = 4\nlatency_table = \"world-2015\"";
    latency_table_beside_one_latency: "nodes = 4\none_way_ms = 5\nlatency_table = \"world-2015\"";
    shares_of_other_regions: "nodes = 4\nregion_shares = [1, 2]";
    shares_that_nobody_published: "nodes = 4\nregion_shares = \"published\"";
    shares_of_a_wrong_type: "nodes = 4\nregion_shares = \"equal\"";
    unknown_jitter: "nodes = 4\njitter = \"normal\"";
    jitter_without_its_shape: "nodes = 4\njitter = \"gamma\"";
    jitter_with_a_shape_too_many: "nodes = 4\njitter_shape = 2";
    pareto_without_a_mean: "nodes = 4\njitter = \"pareto\"\njitter_shape = 0.9";
    spread_without_its_law: "nodes = 4\njitter_spread_ms = 5";
    spread_twice: "nodes = 4\njitter = \"pareto-mean\"\njitter_permille = 100\njitter_spread_ms = 5";
    rate_of_a_wrong_type: "nodes = 4\nregion_uplink_mbps = [\"fast\"]";
    negative_uplink_of_a_region: "nodes = 4\nregion_uplink_mbps = [-1]";
    rates_of_other_regions: "nodes = 4\nregion_downlink_mbps = [1, 2]";
    class_of_no_nodes: "nodes = 4\nclasses = [{ nodes = [], uplink_mbps = 5 }]";
    class_of_a_node_that_is_not_there: "nodes = 4\nclasses = [{ nodes = [4], uplink_mbps = 5 }]";
    node_in_two_classes: "nodes = 4\nclasses = [{ nodes = [1], uplink_mbps = 5 }, { nodes = [0, 1] }]";
    class_that_is_like_the_others: "nodes = 4\nclasses = [{ nodes = [1] }]";
    class_elsewhere: "nodes = 4\nclasses = [{ nodes = [1], regions = [\"japan\"] }]";
    class_without_its_overlay: "nodes = 4\nclasses = [{ nodes = [1], outbound = 3 }]";
    more_loss_than_tcp_bears: "nodes = 4\nloss_permille = 600";
    no_timer: "nodes = 4\nretransmit_ms = 0";
    unknown_overlay: "nodes = 4\noverlay = \"tree\"";
    star_without_hubs: "nodes = 4\noverlay = \"star\"";
    more_hubs_than_nodes: "nodes = 4\noverlay = \"star\"\nhubs = 5";
    more_links_than_hubs: "nodes = 4\noverlay = \"star\"\nhubs = 2\nhub_links = 3";
    hubs_without_a_star: "nodes = 4\nhubs = 2";
    odd_ring: "nodes = 4\noverlay = \"small-world\"\nneighbours = 3\nrewire_permille = 10";
    unknown_degrees: "nodes = 4\noverlay = \"degrees\"\noutbound_degrees = \"monero\"";
    degrees_that_do_not_end: "nodes = 4\noverlay = \"degrees\"\noutbound_degrees = [10, 900]";
}

#[test]
fn unknown_workload() {
    let scratch = Scratch::new();
    scratch.write(
        "plan.toml",
        &plan("").replace("\"hospital\"", "\"hospitals\""),
    );
    insta::assert_snapshot!(scratch.complaint(&["run", "plan.toml"]));
}

fn with_tail(tail: &str) -> String {
    let scratch = Scratch::new();
    scratch.write("plan.toml", &format!("{}\n{tail}", plan("")));
    scratch.complaint(&["run", "plan.toml"])
}

#[test]
fn unknown_engine() {
    insta::assert_snapshot!(with_tail("[[engines]]\nname = \"pbft\"\n"));
}

#[test]
fn engine_twice() {
    insta::assert_snapshot!(with_tail("[[engines]]\nname = \"qbft\"\n"));
}

#[test]
fn committee_too_small_for_its_faults() {
    insta::assert_snapshot!(with_tail("[adversary]\ncorrupt = 2\n"));
}

#[test]
fn wrong_unit_in_a_level() {
    let level =
        "[[levels]]\nexpect = \"all:final:p(99)<2kg\"\nstanding = \"law\"\nsource = \"x\"\n";
    insta::assert_snapshot!(with_tail(level));
}

#[test]
fn level_of_a_class_that_is_not_there() {
    let level = "[[levels]]\nexpect = \"consent.revok:final:p(99)<2s\"\nstanding = \"law\"\nsource = \"x\"\n";
    insta::assert_snapshot!(with_tail(level));
}

#[test]
fn no_cores() {
    insta::assert_snapshot!(with_tail("[node]\ncores = 0\n"));
}

#[test]
fn more_corrupt_than_there_are() {
    insta::assert_snapshot!(with_tail("[adversary]\ncorrupt = 9\n"));
}

#[test]
fn risks_in_the_wrong_order() {
    insta::assert_snapshot!(with_tail("[adversary]\nfinal_risk = 0.1\n"));
}

#[test]
fn fault_of_a_node_that_is_not_there() {
    insta::assert_snapshot!(with_tail("[[faults]]\nfrom_s = 1.0\ncrash = [7]\n"));
}

/// Every way in which a fault can be wrong, one message each.
#[test]
fn liars_that_make_no_sense() {
    let complaints: Vec<String> = [
        "nodes = []\nsilent = true",
        "nodes = [7]\nsilent = true",
        "nodes = [1, 1]\nsilent = true",
        "nodes = [1]",
        "nodes = [1]\nsilent = true\nselfish = true",
        "nodes = [1]\nwhisper = true",
        "nodes = [1]\ntwin = [1]",
        "nodes = [1]\ntwin = [2]\nuntil_s = 9.0",
        "nodes = [1]\nsilent = true\nfrom_s = 9.0\nuntil_s = 3.0",
        "nodes = [1]\ndelay_votes_ms = -1.0",
        "nodes = [1]\ncensor_site = 4",
        "nodes = [1]\nreorg = { confirmations = 0, give_up = 3 }",
    ]
    .iter()
    .map(|entry| with_tail(&format!("[[corrupt]]\n{entry}\n")))
    .collect();
    insta::assert_snapshot!(complaints.join("\n"));
}

#[test]
fn faults_that_make_no_sense() {
    let complaints: Vec<String> = [
        "crash = [1]",
        "from_s = -1.0\ncrash = [1]",
        "from_s = 1.0\nfrom = \"10:00\"\ncrash = [1]",
        "from = \"10 am\"\ncrash = [1]",
        "from = \"10:00\"\nuntil = \"09:00\"\ncrash = [1]",
        "from_s = 1.0",
        "from_s = 1.0\ncrash = [1]\npartition = [2]",
        "from_s = 1.0\npartition = [0, 1, 2, 3]",
        "from_s = 1.0\none_way_from = [1]\none_way_to = [9]",
        "from_s = 1.0\nwan_cut = [4]",
        "from_s = 1.0\nclog = [1]",
        "from_s = 1.0\nclog = [1]\nclog_ms = 0.0",
        "from_s = 1.0\ncrash = [1]\nclog_ms = 5.0",
        "from_s = 1.0\nloss = [1]",
        "from_s = 1.0\nloss = [1]\nloss_permille = 1000.0",
        "from_s = 1.0\nslow_cpu = [1]",
        "from_s = 1.0\nslow_cpu = [1]\nspeed_permille = 0",
        "from_s = 1.0\nclock = [1]",
        "from_s = 1.0\nclock = [1]\ndrift_ppm = 200000",
        "from_s = 1.0\nclock = [1]\noffset_ms = -2000.0",
    ]
    .map(|fault| with_tail(&format!("[[faults]]\n{fault}\n")))
    .to_vec();
    insta::assert_snapshot!(complaints.join("\n"));
}

/// Every way in which an outage can be wrong, one message each.
#[test]
fn outages_that_make_no_sense() {
    let complaints: Vec<String> = [
        "lose = \"wifi\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20",
        "site = 1\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"wan\"\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"wan\"\nsite = 1\nregion = \"us-east-1\"\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"wan\"\nsite = 4\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"power\"\nsites = [1, 9]\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"power\"\nregion = \"us-west-1\"\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"region-link\"\nregion = \"us-east-1\"\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"region-link\"\nsites = [1]\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"leader\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"maintenance\"\nsites = [1, 5]\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"wan\"\nsite = 1\nfor_min = 20",
        "lose = \"wan\"\nsite = 1\nfrom = \"ten\"\nfor_min = 20",
        "lose = \"wan\"\nsite = 1\nfrom = \"10:00\"\nfrom_s = 36000\nfor_min = 20",
        "lose = \"wan\"\nsite = 1\nfrom = \"10:00\"",
        "lose = \"wan\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 0",
        "lose = \"wan\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 1\nfor_s = 60",
        "lose = \"wan\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20\ngap_min = 5",
        "lose = \"maintenance\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20\ngap_min = -5",
        "lose = \"wan\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20\nevery_h = 1",
        "lose = \"wan\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20\ntimes = 2",
        "lose = \"wan\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20\nevery_h = 0.25\ntimes = 2",
        "lose = \"wan\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20\nevery_h = 1\ntimes = 0",
        "lose = \"time-sync\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20",
        "lose = \"time-sync\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20\ndrift_ppm = 0",
        "lose = \"time-sync\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20\ndrift_ppm = 200000",
        "lose = \"power\"\nsite = 1\nfrom = \"10:00\"\nfor_min = 20\ndrift_ppm = 50",
    ]
    .map(|outage| with_tail(&format!("[[outages]]\n{outage}\n")))
    .to_vec();
    insta::assert_snapshot!(complaints.join("\n"));
}

#[test]
fn fault_that_ends_before_it_starts() {
    insta::assert_snapshot!(with_tail(
        "[[faults]]\nfrom_s = 9.0\nuntil_s = 3.0\ncrash = [1]\n"
    ));
}

/// Every way in which an attack can be wrong, one message each.
#[test]
fn attacks_that_make_no_sense() {
    let scratch = Scratch::new();
    let attack = |text: &str, options: &[&str]| {
        let head = "name = \"a\"\nkind = \"attack\"\nreplications = 2\n";
        scratch.write("attack.toml", &format!("{head}{text}\n"));
        scratch.complaint(&[&["attack", "attack.toml"], options].concat())
    };
    let spends =
        "[double_spend]\nshares = [0.3]\nconfirmations = [6]\ngive_up = 60\nattempts = 1000";
    let selfish =
        "[sm1]\nshares = [0.3]\ngammas = [0.0]\nblocks = 1000\nretarget_blocks = 10\npatience = 2";
    let game = |cases: &str| {
        let plan = plan("").replace("kind = \"curve\"", "kind = \"attack\"");
        let plan = plan.replace("\"qbft\"\nconfig = { period_ms = 1000 }", "\"clique\"");
        scratch.write(
            "attack.toml",
            &format!("{plan}\n[attack]\ngame = \"spam\"\n{cases}"),
        );
        scratch.complaint(&["attack", "attack.toml"])
    };
    let complaints = [
        scratch.complaint(&["attack", "nowhere"]),
        attack("", &[]),
        attack(&format!("{spends}\n{selfish}"), &[]),
        attack(&spends.replace("0.3", "0.5"), &[]),
        attack(&spends.replace("[6]", "[0]"), &[]),
        attack(&spends.replace("[6]", "[6, 6]"), &[]),
        attack(&spends.replace("60", "6000"), &[]),
        attack(&spends.replace("1000", "10"), &[]),
        attack(&spends.replace("give_up", "giveup"), &[]),
        attack(spends, &["-s", "double_spend.attempts=many"]),
        attack(spends, &["-s", "double_spend.attempts"]),
        attack(spends, &["--engines", "nakamoto"]),
        attack(&selfish.replace("[0.0]", "[1.5]"), &[]),
        attack(&selfish.replace("[0.3]", "[]"), &[]),
        game("cases = []\n"),
        game("[[attack.cases]]\nparameters = \"a\"\nx = 0.0\nset = [\"engines=[]\"]\n"),
        game(
            "[[attack.cases]]\nparameters = \"a\"\nx = 0.0\n[[attack.cases]]\nparameters = \"a\"\nx = 1.0\n",
        ),
        game("[[attack.cases]]\nparameters = \"a\"\nx = 0.0\nset = [\"network.nodes=0\"]\n"),
        {
            let plan = plan("").replace("kind = \"curve\"", "kind = \"attack\"");
            scratch.write(
                "attack.toml",
                &format!("{plan}\n[attack]\ngame = \"spam\"\ncases = []\n"),
            );
            scratch.complaint(&["attack", "attack.toml"])
        },
        {
            scratch.write("plan.toml", &plan(""));
            scratch.complaint(&["attack", "plan.toml"])
        },
        {
            scratch.write(
                "plan.toml",
                &format!("{}\n[attack]\ngame = \"spam\"\ncases = []\n", plan("")),
            );
            scratch.complaint(&["run", "plan.toml"])
        },
    ];
    assert!(
        !scratch.path().join("results").exists(),
        "something was left behind"
    );
    insta::assert_snapshot!(complaints.join("\n"));
}

#[test]
fn missing_plan() {
    insta::assert_snapshot!(Scratch::new().complaint(&["run", "nowhere.toml"]));
}

#[test]
fn missing_command() {
    let text = Scratch::new().complaint(&[]);
    assert!(text.starts_with("exit 2\n"), "{text}");
}

#[test]
fn bad_override() {
    let scratch = Scratch::new();
    scratch.write("plan.toml", &plan(""));
    insta::assert_snapshot!(scratch.complaint(&["run", "plan.toml", "-s", "network.nodez=3"]));
}

#[test]
fn override_without_a_value() {
    let scratch = Scratch::new();
    scratch.write("plan.toml", &plan(""));
    insta::assert_snapshot!(scratch.complaint(&["run", "plan.toml", "-s", "network.nodes"]));
}

#[test]
fn missing_trace() {
    insta::assert_snapshot!(trace("format = \"sdtm\"\npath = \"nowhere\"", &[]));
}

#[test]
fn malformed_trace_row() {
    let arrivals = "at_s,class,site,key,bytes\n0.5,a,0,1,300\nsoon,a,0,1,300\n";
    insta::assert_snapshot!(trace(
        "format = \"arrivals\"\npath = \"arrivals.csv\"",
        &[("arrivals.csv", arrivals)]
    ));
}

#[test]
fn trace_row_with_too_few_fields() {
    let arrivals = "at_s,class,site,key,bytes\n0.5,a,0\n";
    insta::assert_snapshot!(trace(
        "format = \"arrivals\"\npath = \"arrivals.csv\"",
        &[("arrivals.csv", arrivals)]
    ));
}

#[test]
fn trace_without_a_column() {
    let arrivals = "at_s,class,site\n0.5,a,0\n";
    insta::assert_snapshot!(trace(
        "format = \"arrivals\"\npath = \"arrivals.csv\"",
        &[("arrivals.csv", arrivals)]
    ));
}

fn trace(setting: &str, files: &[(&str, &str)]) -> String {
    let scratch = Scratch::new();
    for (name, text) in files {
        scratch.write(name, text);
    }
    let plan = format!(
        "name = \"t\"\nkind = \"replay\"\nreplications = 2\n[network]\nnodes = 4\n\
         regions = [\"us-east-1\"]\n[workload]\nname = \"trace\"\n{setting}\n[load]\n\
         drain_s = 60.0\n[[engines]]\nname = \"qbft\"\n"
    );
    scratch.write("plan.toml", &plan);
    scratch.complaint(&["run", "plan.toml"])
}

#[test]
fn a_check_without_a_promise() {
    let scratch = Scratch::new();
    scratch.write("plan.toml", &plan("kind = \"check\""));
    insta::assert_snapshot!(scratch.complaint(&["run", "plan.toml"]));
}

#[test]
fn a_promise_without_a_check() {
    let scratch = Scratch::new();
    scratch.write("plan.toml", &plan("kind = \"curve\"\npromise = \"live\""));
    insta::assert_snapshot!(scratch.complaint(&["run", "plan.toml"]));
}

#[test]
fn a_budget_without_a_unit() {
    insta::assert_snapshot!(Scratch::new().complaint(&["fuzz", "--budget", "10"]));
}

#[test]
fn a_seed_beside_seeds() {
    insta::assert_snapshot!(Scratch::new().complaint(&["fuzz", "--seed", "1", "--seeds", "0..2"]));
}

#[test]
fn a_share_beyond_all() {
    insta::assert_snapshot!(Scratch::new().complaint(&["fuzz", "--self-check=1001"]));
}

#[test]
fn results_folder_is_a_file() {
    let scratch = Scratch::new();
    scratch.write("plan.toml", &plan(""));
    scratch.write("results", "not a folder");
    insta::assert_snapshot!(scratch.complaint(&["run", "plan.toml"]));
}

#[test]
fn a_closed_loop_warns_before_all_else() {
    let scratch = Scratch::new();
    let users = "most_patients = 1000\nclosed_loop = { users = 5, think_s = 1.0 }";
    scratch.write("plan.toml", &plan(users));
    scratch.write("results", "not a folder");
    insta::assert_snapshot!(scratch.complaint(&["run", "plan.toml"]));
}

#[test]
fn results_folder_cannot_be_made() {
    let scratch = Scratch::new();
    scratch.write("plan.toml", &plan(""));
    // Not even root can make a folder in /proc.
    insta::assert_snapshot!(scratch.complaint(&["run", "plan.toml", "--out", "/proc/quorate"]));
}

/// It runs, and says what it does.
#[test]
fn whole_records_on_the_ledger() {
    let scratch = Scratch::new();
    scratch.write(
        "plan.toml",
        &plan("most_patients = 1000\npayload = \"full\""),
    );
    insta::assert_snapshot!(scratch.complaint(&["run", "plan.toml"]));
}

#[test]
fn init_does_not_overwrite() {
    let scratch = Scratch::new();
    scratch.write("plan.toml", "mine");
    let text = scratch.complaint(&["init"]);
    assert!(text.starts_with("exit 74\n"), "{text}");
    let kept = std::fs::read_to_string(scratch.path().join("plan.toml")).expect("still there");
    assert_eq!(kept, "mine");
}

#[test]
fn disk_full() {
    // A device that is always full stands in for a full disk where a small file system cannot be
    // mounted; `scripts/accept/01.sh` fills a real one.
    let scratch = Scratch::new();
    let output = scratch.quorate(&["init", "/dev/full"]);
    assert_eq!(output.status.code(), Some(74));
}

#[test]
fn a_good_plan_from_init_runs() {
    let scratch = Scratch::new();
    assert_eq!(scratch.quorate(&["init"]).status.code(), Some(0));
    let mut args = vec!["run", "plan.toml", "--quick"];
    for set in [
        "replications=2",
        "load.duration_s=60.0",
        "workloads.0.most_patients=1000",
        "engines=[{name=\"qbft\"},{name=\"central\"}]",
    ] {
        args.extend(["-s", set]);
    }
    let output = scratch.quorate(&args);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("hospital at 33 writes/s"), "{text}");
}

/// What `quorate import` says to files that it cannot use; nothing is left behind.
fn import(files: &[(&str, &str)], args: &[&str]) -> String {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("export")).expect("the scratch folder can be written");
    for (name, text) in files {
        scratch.write(name, text);
    }
    let all: Vec<&str> = std::iter::once("import")
        .chain(args.iter().copied())
        .collect();
    let text = scratch.complaint(&all);
    let left = std::fs::read_dir(scratch.path()).expect("readable").count();
    let outside = files
        .iter()
        .filter(|(name, _)| !name.starts_with("export/"))
        .count();
    assert_eq!(left, 1 + outside, "something was left behind");
    text
}

#[test]
fn import_of_what_is_not_there() {
    insta::assert_snapshot!(import(&[], &["nowhere"]));
}

#[test]
fn import_of_an_unknown_format() {
    insta::assert_snapshot!(import(&[("export/a.txt", "x")], &["export"]));
}

#[test]
fn import_of_a_bundle_that_breaks_off() {
    let text = "{\"resourceType\": \"Bundle\",\n \"entry\": [{\"resource\": {\"resourceType\"";
    insta::assert_snapshot!(import(&[("export/a.json", text)], &["export"]));
}

#[test]
fn import_of_a_resource_with_a_wrong_field() {
    let text = "{\"resourceType\":\"Encounter\",\"id\":\"e\",\"subject\":{\"reference\":\"Patient/p\"},\
                \"period\":{\"start\":\"06.05.2019\"}}\n";
    let files = [("export/Encounter.ndjson", text)];
    insta::assert_snapshot!(import(&files, &["export"]));
}

#[test]
fn import_of_lines_that_are_no_json() {
    let files = [("export/Patient.ndjson", "{\"resourceType\":\n")];
    insta::assert_snapshot!(import(&files, &["export"]));
}

#[test]
fn import_of_another_document() {
    let text = "{\"type\":\"Invoice\",\"epcisBody\":{\"eventList\":[]}}";
    let args = ["export/a.json", "--format", "epcis"];
    insta::assert_snapshot!(import(&[("export/a.json", text)], &args));
}

#[test]
fn import_of_events_without_goods() {
    let text = "{\"type\":\"EPCISDocument\",\"epcisBody\":{\"eventList\":[{\"type\":\"TransactionEvent\"}]}}";
    insta::assert_snapshot!(import(&[("export/a.jsonld", text)], &["export"]));
}

#[test]
fn import_of_a_table_with_a_wrong_value() {
    let files = [
        ("export/patients.csv", "Id\np\n"),
        (
            "export/encounters.csv",
            "Id,PATIENT,START,STOP,ORGANIZATION,ENCOUNTERCLASS\ne,p,2019-05-06,,o,visit\n",
        ),
    ];
    insta::assert_snapshot!(import(&files, &["export"]));
}

#[test]
fn import_of_half_an_export() {
    let files = [("export/patients.csv", "Id\np\n")];
    insta::assert_snapshot!(import(&files, &["export", "--format", "synthea"]));
}

#[test]
fn import_with_an_unknown_setting() {
    let files = [("export/a.ndjson", "{}")];
    insta::assert_snapshot!(import(&files, &["export", "-s", "clok=source"]));
}

#[test]
fn import_with_a_setting_out_of_range() {
    let files = [("a.csv", "at_s,class,site,key\n0,w,0,a\n")];
    insta::assert_snapshot!(import(&files, &["a.csv", "-s", "idle_s=0.0"]));
}

#[test]
fn import_into_the_account() {
    let files = [("a.csv", "at_s,class,site,key\n0,w,0,a\n")];
    insta::assert_snapshot!(import(&files, &["a.csv", "-o", "import.csv"]));
}

#[test]
fn import_into_a_folder_that_is_not_there() {
    let files = [("a.csv", "at_s,class,site,key\n0,w,0,a\n")];
    let text = import(&files, &["a.csv", "-o", "nowhere/arrivals.csv"]);
    assert!(
        text.starts_with("exit 74\nerror: cannot write nowhere/import.csv: "),
        "{text}"
    );
}

#[test]
fn rows_that_two_ledgers_would_judge() {
    let arrivals = "at_s,class,site,key,action,operand\n0,erx.issue,0,rx,erx.issue,2\n\
                    1,trial.ae,0,a,trial.ae,s\n";
    insta::assert_snapshot!(trace(
        "format = \"arrivals\"\npath = \"arrivals.csv\"",
        &[("arrivals.csv", arrivals)]
    ));
}

/// An import that is killed leaves the old files or the new ones, never a part.
#[test]
fn a_killed_import_tears_no_file() {
    let scratch = Scratch::new();
    scratch.write("arrivals.csv", "old");
    scratch.write("import.csv", "old");
    // A pipe that never ends: the import hangs half-way.
    let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["import", "/dev/stdin", "--format", "arrivals"])
        .current_dir(scratch.path())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, b"at_s,class,site,key\n0,w,0,a\n1,w").expect("it reads");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    for file in ["arrivals.csv", "import.csv"] {
        let text = std::fs::read_to_string(scratch.path().join(file)).expect("still there");
        assert_eq!(text, "old");
    }
}

#[test]
fn an_import_is_replayed() {
    let scratch = Scratch::new();
    let text = "{\"resourceType\":\"Patient\",\"id\":\"p\"}\n{\"resourceType\":\"Encounter\",\"id\":\"e\",\
                \"status\":\"finished\",\"class\":{\"code\":\"AMB\"},\"subject\":{\"reference\":\"Patient/p\"},\
                \"period\":{\"start\":\"2019-05-06T10:00:00Z\",\"end\":\"2019-05-06T10:30:00Z\"}}\n";
    scratch.write("a.ndjson", text);
    let output = scratch.quorate(&["import", "a.ndjson"]);
    insta::assert_snapshot!(String::from_utf8(output.stdout).expect("UTF-8"));
    let read = |name: &str| std::fs::read_to_string(scratch.path().join(name)).expect("written");
    insta::assert_snapshot!(read("arrivals.csv"));
    insta::assert_snapshot!(read("import.csv"));
    let same = plan("").replace("\"curve\"", "\"replay\"");
    let at = same.find("[workload]").expect("a table");
    let end = same.find("[[engines]]").expect("a table");
    let trace = "[workload]\nname = \"trace\"\nformat = \"arrivals\"\npath = \"arrivals.csv\"\n\
                 day_s = 600.0\n[load]\ndrain_s = 60.0\n";
    scratch.write(
        "plan.toml",
        &format!("{}{trace}{}", &same[..at], &same[end..]),
    );
    let output = scratch.quorate(&["run", "plan.toml"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("record.anchor      1          1"), "{text}");
}

#[test]
fn two_ledgers_that_make_no_sense() {
    let scratch = Scratch::new();
    let about = |set: &str| {
        let args = [
            "run",
            "medicalchain-teleconsult",
            "-s",
            "cases=[]",
            "-s",
            set,
        ];
        format!("{set}\n{}", scratch.complaint(&args))
    };
    let all = [
        "token.engine=anchor",
        "token.confirmations=3",
        "health.config.period_ms=0",
        "token.network.nodes=0",
        "token.occupancy=-0.5",
        "token.faults=[{partition=[99],from_s=1.0}]",
        "health.adversary_share=0.9",
        "clinics=0",
        "drain_s=-1.0",
        "teleconsult.accesses=0",
        "teleconsult.double_bookings=1.5",
        "licence={patients=1,accept=1.0,answer_h=1.0,consent_days=1.0,batch=1,base_bytes=1,payee_bytes=1,base_weight=1.0,payee_weight=1.0,price=1.0,coin=1.0}",
        "token.engin=praos",
    ];
    insta::assert_snapshot!(all.map(about).join("\n"));
}
