//! Array jobs of AWS Batch and Google Cloud Batch: documents for their command lines.

use serde_json::{Value, json};

use crate::sweep::emit::Driver;

/// Starts of one task, the first included.
const ATTEMPTS: u32 = 4;
/// What AWS Batch takes in one array.
const AWS_ARRAY_MAX: usize = 10_000;

/// For `aws batch submit-job --cli-input-json file://…`. The queue and the definition (image, volume) are the user's.
pub(super) fn aws(driver: &Driver<'_>) -> Result<String, String> {
    if driver.shards > AWS_ARRAY_MAX {
        return Err(format!(
            "AWS Batch takes at most {AWS_ARRAY_MAX} tasks in an array: cut into fewer shards"
        ));
    }
    let mut job = json!({
        "jobName": driver.job,
        "jobQueue": "meshsim",
        "jobDefinition": "meshsim",
        "retryStrategy": {
            "attempts": ATTEMPTS,
            "evaluateOnExit": [
                {"onStatusReason": "Host EC2*", "action": "RETRY"},
                {"onExitCode": "2", "action": "EXIT"},
                {"onExitCode": "*", "action": "RETRY"}
            ]
        },
        "timeout": {"attemptDurationSeconds": driver.limit_seconds},
        "containerOverrides": {
            "command": driver.command(&driver.site.file, &driver.site.folder),
            "resourceRequirements": [
                {"type": "VCPU", "value": driver.site.cpus.to_string()},
                {"type": "MEMORY", "value": driver.memory_mib.to_string()}
            ]
        }
    });
    // An array of one is refused; a single job has no index, and runs all shards, which is that one.
    if driver.shards > 1 {
        job["arrayProperties"] = json!({"size": driver.shards});
    }
    Ok(written(&job))
}

/// For `gcloud batch jobs submit --config=…`.
pub(super) fn google(driver: &Driver<'_>) -> String {
    let site = driver.site;
    let commands = &driver.command(&site.file, &site.folder)[1..];
    let job = json!({
        "taskGroups": [{
            "taskCount": driver.shards.to_string(),
            "taskSpec": {
                "computeResource": {"cpuMilli": u32::from(site.cpus) * 1000, "memoryMib": driver.memory_mib},
                "maxRetryCount": ATTEMPTS - 1,
                "maxRunDuration": format!("{}s", driver.limit_seconds),
                "lifecyclePolicies": [{"action": "FAIL_TASK", "actionCondition": {"exitCodes": [2]}}],
                "runnables": [{"container": {
                    "imageUri": site.image,
                    "entrypoint": "meshsim",
                    "commands": commands,
                    "options": "--workdir /mnt/disks/sweep",
                    "volumes": ["/mnt/disks/sweep:/mnt/disks/sweep"]
                }}],
                "volumes": [{"gcs": {"remotePath": site.volume}, "mountPath": "/mnt/disks/sweep"}]
            }
        }],
        "logsPolicy": {"destination": "CLOUD_LOGGING"}
    });
    written(&job)
}

fn written(job: &Value) -> String {
    format!("{job:#}\n")
}
