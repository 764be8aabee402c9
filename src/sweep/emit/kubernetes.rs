//! A Kubernetes Indexed Job, with the scenario in a ConfigMap and the shards on a PersistentVolumeClaim that many nodes can write to.

use std::fmt::Write;

use serde_json::Value;

use crate::sweep::emit::Driver;

/// Pods that run at once; Kubernetes starts the next when one ends.
const PARALLELISM_MAX: usize = 1000;
/// Starts of one shard after its first.
const RETRIES: usize = 3;
/// What a ConfigMap may hold, with some room for the rest of the object: the limit is 1 MiB.
const TEXTS_MAX: usize = 1_000_000;
/// Where the pods work.
const PLACE: &str = "/sweep";

pub(super) fn manifest(driver: &Driver<'_>) -> Result<String, String> {
    let Driver {
        job,
        shards,
        memory_mib,
        plan,
        site,
        ..
    } = driver;
    let input = &plan.input;
    let mut texts = vec![(input.name.as_str(), input.text.as_str())];
    texts.extend(input.files.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let is_key = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && !name.is_empty();
    if let Some((name, _)) = texts.iter().find(|(name, _)| !is_key(name)) {
        return Err(format!(
            "a ConfigMap cannot hold a file named `{name}`: lay it beside the scenario, under a name of letters, digits and `-_.`"
        ));
    }
    if texts.iter().map(|(_, text)| text.len()).sum::<usize>() > TEXTS_MAX {
        return Err("the scenario and its files do not fit in a ConfigMap (1 MiB)".to_string());
    }
    let mut data = String::new();
    for (name, text) in &texts {
        let _ = writeln!(data, "  {}: {}", quoted(name), block(text));
    }
    let command = driver.command(&format!("scenario/{}", input.name), &site.folder);
    let mut words = String::new();
    for word in &command {
        let _ = writeln!(words, "            - {}", quoted(word));
    }
    let mount = match site.folder.starts_with('/') {
        true => site.folder.clone(),
        false => format!("{PLACE}/{}", site.folder),
    };
    Ok(format!(
        "# {name}: {runs} runs in {shards} shards, plan {digest}. `kubectl apply -f` it; a shard that is complete is kept.
# The claim `{claim}` must be there, with an access mode that lets many nodes write (ReadWriteMany).
# When the Job is complete, anything that mounts the claim merges: meshsim sweep merge {folder} -o RESULTS
apiVersion: v1
kind: ConfigMap
metadata:
  name: {job}
data:
{data}---
apiVersion: batch/v1
kind: Job
metadata:
  name: {job}
  labels:
    app.kubernetes.io/name: meshsim
  annotations:
    meshsim/plan: {digest_quoted}
spec:
  completionMode: Indexed
  completions: {shards}
  parallelism: {parallelism}
  backoffLimitPerIndex: {RETRIES}
  backoffLimit: {backoff}
  podFailurePolicy:
    rules:
      # Bad usage or an invalid scenario: no other start helps.
      - action: FailJob
        onExitCodes:
          containerName: meshsim
          operator: In
          values: [2]
      # A node that is drained or lost is not the shard's failure.
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: \"True\"
  template:
    metadata:
      labels:
        app.kubernetes.io/name: meshsim
    spec:
      restartPolicy: Never
      containers:
        - name: meshsim
          image: {image}
          workingDir: {PLACE}
          # Which shard it is, Kubernetes says in JOB_COMPLETION_INDEX.
          command:
{words}          resources:
            requests: {{cpu: \"{cpus}\", memory: {memory_mib}Mi}}
            limits: {{memory: {memory_mib}Mi}}
          volumeMounts:
            - {{name: scenario, mountPath: {PLACE}/scenario, readOnly: true}}
            - {{name: shards, mountPath: {mount}}}
      volumes:
        - name: scenario
          configMap: {{name: {job}}}
        - name: shards
          persistentVolumeClaim: {{claimName: {claim}}}
",
        name = plan.scenario,
        runs = plan.runs_total,
        digest = plan.digest,
        digest_quoted = quoted(&plan.digest),
        claim = quoted(&site.volume),
        folder = site.folder,
        parallelism = (*shards).min(PARALLELISM_MAX),
        backoff = shards.saturating_mul(RETRIES),
        image = quoted(&site.image),
        cpus = site.cpus,
        mount = quoted(&mount),
    ))
}

/// What JSON quotes, YAML reads.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A text as a block that one can read, or quoted where a block would change it.
fn block(text: &str) -> String {
    let is_plain = |c: char| c == '\n' || (!c.is_control() && !"\u{2028}\u{2029}\u{feff}\u{85}".contains(c));
    let lines: Vec<&str> = text.lines().collect();
    let begins_well = lines.first().is_some_and(|line| !line.is_empty() && !line.starts_with(' '));
    let ends_well = text.ends_with('\n') && !text.ends_with("\n\n");
    if !begins_well || !ends_well || !text.chars().all(is_plain) {
        return quoted(text);
    }
    let mut block = "|".to_string();
    for line in lines {
        block.push('\n');
        if !line.is_empty() {
            block.push_str("    ");
            block.push_str(line);
        }
    }
    block
}
