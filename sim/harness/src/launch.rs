//! Scripts that run a plan in shards, under launchers that people have.
//!
//! What all of them keep to: the number of shards stands in the script and is never asked of the launcher,
//! because one that runs a single task again would answer 1; a shard that is locked is tried again, because
//! a task that was killed may have left a process behind; and whether everything is there is for
//! `quorate merge` to say, not for an empty queue.

/// Who starts the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Launcher {
    /// A Slurm job array
    Slurm,
    /// A HyperQueue task array
    Hq,
    /// GNU parallel on this machine
    Parallel,
    /// A Kubernetes indexed job
    K8s,
    /// A Snakefile
    Snakemake,
}

/// What is run.
pub(crate) struct Job {
    /// Of the plan, with its hash.
    pub(crate) name: String,
    /// The words after `quorate` that run the whole.
    pub(crate) run: Vec<String>,
    /// The folder of the journals.
    pub(crate) journals: String,
    /// The folder that it is in.
    pub(crate) out: String,
    /// How many shards.
    pub(crate) shards: u32,
    /// Predicted time of a shard on one core.
    pub(crate) seconds: f64,
    /// Predicted memory of a unit, bytes.
    pub(crate) memory: u64,
}

impl Job {
    fn run_words(&self) -> String {
        let words: Vec<String> = self.run.iter().map(|word| quote(word)).collect();
        words.join(" ")
    }

    /// Time to ask a scheduler for, minutes.
    // assumption: predictions are good to a factor of three, and nothing is worth less than ten minutes.
    fn minutes(&self) -> u64 {
        ((self.seconds * 3.0 / 60.0).ceil() as u64).max(10)
    }

    /// Memory to ask for, MB.
    // assumption: twice the prediction, and room for the program itself.
    fn megabytes(&self) -> u64 {
        (2 * self.memory).div_ceil(1_000_000) + 256
    }

    /// A shell function that runs shard `$1`, and tries again while another process has it.
    fn function(&self, threads: &str) -> String {
        let (run, n) = (self.run_words(), self.shards);
        format!(
            "# The number of shards is {n}, here and in every task: it is not asked of the launcher, which\n\
             # answers with the number of tasks that it was given this time.\n\
             shard() {{\n\
             \x20 local code=75\n\
             \x20 for _ in $(seq 1 60); do\n\
             \x20   code=0\n\
             \x20   \"$QUORATE\" {run} --threads {threads} --shard \"$1/{n}\" || code=$?\n\
             \x20   # 75: a process that was left behind still holds the journal.\n\
             \x20   [ \"$code\" -eq 75 ] || return \"$code\"\n\
             \x20   sleep 10\n\
             \x20 done\n\
             \x20 return \"$code\"\n\
             }}\n"
        )
    }

    fn merge(&self) -> String {
        format!("\"$QUORATE\" merge {}", quote(&self.journals))
    }
}

/// A word as the shell reads it back.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The script of a job.
pub(crate) fn script(launcher: Launcher, job: &Job) -> String {
    match launcher {
        Launcher::Slurm => slurm(job),
        Launcher::Hq => hq(job),
        Launcher::Parallel => parallel(job),
        Launcher::K8s => k8s(job),
        Launcher::Snakemake => snakemake(job),
    }
}

/// Where the program is, for scripts of the shell.
const WHERE: &str = "set -eu\n\
    # The program; the same build for every shard.\n\
    : \"${QUORATE:=quorate}\"\n\
    export QUORATE\n";

fn slurm(job: &Job) -> String {
    let (name, n, out) = (&job.name, job.shards, quote(&job.out));
    let merge = job.merge();
    format!(
        "#!/bin/bash\n\
         #SBATCH --job-name={name}\n\
         #SBATCH --array=1-{n}\n\
         #SBATCH --ntasks=1\n\
         #SBATCH --cpus-per-task=1\n\
         #SBATCH --mem={}M\n\
         #SBATCH --time={}\n\
         #SBATCH --requeue\n\
         #SBATCH --open-mode=append\n\
         #SBATCH --output=%x.%a.log\n\
         #\n\
         # Start:     bash THIS_FILE       submits {n} shards, and what merges them after them\n\
         # Once more: bash THIS_FILE       finished units are kept; a single shard: sbatch --array=3 THIS_FILE\n\
         # An empty queue does not mean that all is done: `quorate status` and `quorate merge` say what is missing.\n\
         {WHERE}{}\n\
         if [ -n \"${{SLURM_ARRAY_TASK_ID:-}}\" ]; then\n\
         \x20 shard \"$SLURM_ARRAY_TASK_ID\"\n\
         \x20 exit\n\
         fi\n\
         mkdir -p {out}\n\
         id=$(sbatch --parsable \"$0\")\n\
         # --parsable prints id;cluster where there are several.\n\
         id=${{id%%;*}}\n\
         # shellcheck disable=SC2016 # the job expands it\n\
         sbatch --job-name={name}-merge --ntasks=1 --mem={}M --time={} --output={name}.merge.log \\\n\
         \x20 --dependency=\"afterany:$id\" --export=ALL --wrap={}\n\
         echo \"submitted $id\"\n",
        job.megabytes(),
        job.minutes(),
        job.function("\"${SLURM_CPUS_PER_TASK:-1}\""),
        job.megabytes(),
        job.minutes(),
        quote(&merge),
    )
}

fn hq(job: &Job) -> String {
    let (name, n, out) = (&job.name, job.shards, quote(&job.out));
    let merge = job.merge();
    format!(
        "#!/bin/bash\n\
         # Start: bash THIS_FILE, with a HyperQueue server and workers running. Once more: the same.\n\
         {WHERE}{}\n\
         if [ -n \"${{HQ_TASK_ID:-}}\" ]; then\n\
         \x20 shard \"$HQ_TASK_ID\"\n\
         \x20 exit\n\
         fi\n\
         mkdir -p {out}\n\
         self=$(realpath \"$0\")\n\
         # A worker that dies does not count against its task.\n\
         hq submit --name {name} --array 1-{n} --cpus 1 --crash-limit 100 --wait \\\n\
         \x20 --env QUORATE=\"$QUORATE\" bash \"$self\" || true\n\
         {merge}\n",
        job.function("1"),
    )
}

fn parallel(job: &Job) -> String {
    let (name, n, out) = (&job.name, job.shards, quote(&job.out));
    let merge = job.merge();
    format!(
        "#!/bin/bash\n\
         # Start: bash THIS_FILE. Once more: the same; what is finished is kept.\n\
         # JOBS says how many shards run at a time; all cores when left out.\n\
         {WHERE}{}\n\
         export -f shard\n\
         mkdir -p {out}\n\
         log={out}/{name}.joblog\n\
         parallel --jobs \"${{JOBS:-100%}}\" --joblog \"$log\" --resume-failed --retries 3 shard ::: $(seq 1 {n}) || true\n\
         {merge}\n",
        job.function("1"),
    )
}

/// A string in double quotes, as JSON, YAML and Python read it.
fn string(text: &str) -> String {
    serde_json::to_string(text).expect("text")
}

fn k8s(job: &Job) -> String {
    let n = job.shards;
    // DNS labels: lower case, digits and dashes.
    let label = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = job.name.chars().map(label).collect();
    let task = format!(
        "exec quorate {} --threads 1 --shard \"$((JOB_COMPLETION_INDEX + 1))/{n}\"",
        job.run_words()
    );
    let merge = format!("exec quorate merge {}", quote(&job.journals));
    let out = string(&job.out);
    let pod = |indent: &str, command: &str| {
        [
            "restartPolicy: Never".to_owned(),
            "containers:".to_owned(),
            "- name: quorate".to_owned(),
            "  image: quorate  # an image with the program and the plan".to_owned(),
            format!("  command: [\"/bin/sh\", \"-c\", {}]", string(command)),
            "  resources:".to_owned(),
            format!(
                "    requests: {{cpu: \"1\", memory: \"{}M\"}}",
                job.megabytes()
            ),
            "  volumeMounts:".to_owned(),
            format!("  - {{name: out, mountPath: {out}}}"),
            "volumes:".to_owned(),
            "- name: out".to_owned(),
            "  persistentVolumeClaim: {claimName: quorate}  # one that all nodes can write"
                .to_owned(),
        ]
        .map(|line| format!("{indent}{line}\n"))
        .concat()
    };
    format!(
        "# kubectl apply -f THIS_FILE. Indices begin at 0, shards at 1; their number, {n}, is fixed.\n\
         # A pod that fails keeps its index. When all are complete: kubectl patch job {name}-merge\n\
         # -p '{{\"spec\":{{\"suspend\":false}}}}', which exits with 4 and a list if units are missing.\n\
         apiVersion: batch/v1\n\
         kind: Job\n\
         metadata:\n\
         \x20 name: {name}\n\
         spec:\n\
         \x20 completions: {n}\n\
         \x20 parallelism: {n}\n\
         \x20 completionMode: Indexed\n\
         \x20 backoffLimitPerIndex: 10\n\
         \x20 template:\n\
         \x20   spec:\n\
         {}\
         ---\n\
         apiVersion: batch/v1\n\
         kind: Job\n\
         metadata:\n\
         \x20 name: {name}-merge\n\
         spec:\n\
         \x20 suspend: true\n\
         \x20 backoffLimit: 0\n\
         \x20 template:\n\
         \x20   spec:\n\
         {}",
        pod("      ", &task),
        pod("      ", &merge),
    )
}

fn snakemake(job: &Job) -> String {
    let n = job.shards;
    // Braces are Snakemake's own.
    let plain = |text: &str| text.replace('{', "{{").replace('}', "}}");
    let run = plain(&job.run_words());
    let task = format!("quorate {run} --threads 1 --shard {{wildcards.i}}/{n}");
    let merge = format!("quorate merge {}", plain(&quote(&job.journals)));
    let done = format!("{}/{}.shards", job.out, job.name);
    format!(
        "# snakemake --snakefile THIS_FILE --cores all --retries 3\n\
         # The number of shards, {n}, is fixed.\n\
         SHARDS = range(1, {n} + 1)\n\
         DONE = {}\n\
         \n\
         rule merge:\n\
         \x20   input: expand(DONE + \"/{{i}}-of-{n}\", i=SHARDS)\n\
         \x20   output: touch(DONE + \"/merged\")\n\
         \x20   shell: {}\n\
         \n\
         rule shard:\n\
         \x20   output: touch(DONE + \"/{{i}}-of-{n}\")\n\
         \x20   resources: mem_mb={}, runtime={}\n\
         \x20   shell: {}\n",
        string(&plain(&done)),
        string(&merge),
        job.megabytes(),
        job.minutes(),
        string(&task),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            name: "golden-0123abcd".to_owned(),
            run: [
                "run",
                "/plans/it's mine.toml",
                "-s",
                "load.offered_tps=[5.0, 50.0]",
                "--out",
                "/out",
            ]
            .map(str::to_owned)
            .to_vec(),
            journals: "/out/golden-0123abcd.journal".to_owned(),
            out: "/out".to_owned(),
            shards: 8,
            seconds: 90.0,
            memory: 100_000_000,
        }
    }

    /// What a shell makes of a word is the word.
    #[test]
    fn words_survive_the_shell() {
        for word in [
            "plain",
            "",
            "it's",
            "a b",
            "$HOME",
            "[1.0, 2.0]",
            "`x`\"",
            "a\\b",
        ] {
            let command = format!("printf %s {}", quote(word));
            let out = std::process::Command::new("bash")
                .args(["-c", &command])
                .output();
            assert_eq!(
                String::from_utf8_lossy(&out.expect("bash runs").stdout),
                word
            );
        }
    }

    /// The number of shards comes from nowhere but the script.
    #[test]
    fn the_number_of_shards_is_fixed() {
        for launcher in [
            Launcher::Slurm,
            Launcher::Hq,
            Launcher::Parallel,
            Launcher::K8s,
            Launcher::Snakemake,
        ] {
            let text = script(launcher, &job());
            assert!(text.contains("/8"), "{text}");
            assert!(!text.contains("_COUNT"), "{text}");
            assert!(
                text.contains("merge /out/golden-0123abcd.journal"),
                "{text}"
            );
        }
    }

    #[test]
    fn shell_scripts_are_well_formed() {
        for launcher in [Launcher::Slurm, Launcher::Hq, Launcher::Parallel] {
            let text = script(launcher, &job());
            let out = std::process::Command::new("bash")
                .args(["-n", "-c", &text])
                .output();
            let out = out.expect("bash runs");
            assert!(
                out.status.success(),
                "{}\n{text}",
                String::from_utf8_lossy(&out.stderr)
            );
        }
    }
}
