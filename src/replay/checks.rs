//! Health checks in a script: they are printed when they are due, and answered by a line, or by nothing until they time out.

use std::io::{self, Write};

use super::Bench;
use super::line::CheckLine;
use crate::policy::health_check::Finding;

impl<W: Write> Bench<W> {
    /// Asks whom the policy wants to have asked whether it is well.
    pub(super) fn send_checks(&mut self) -> io::Result<()> {
        while let Some((endpoint, timeout)) = self.cluster.next_check(self.now) {
            self.checks.push((self.now + timeout, endpoint));
            let quoted = &self.slots[endpoint.at()].quoted;
            writeln!(self.output, "{{\"t\": {:?}, \"check\": {quoted}}}", self.seconds)?;
        }
        Ok(())
    }

    pub(super) fn expire_checks(&mut self) -> io::Result<()> {
        while let Some(at) = self.checks.iter().position(|check| check.0 <= self.now) {
            let (_, endpoint) = self.checks.remove(at);
            self.cluster.on_checked(endpoint, Finding::Timeout, self.now);
            self.tell()?;
        }
        Ok(())
    }

    pub(super) fn check(&mut self, line: &CheckLine) -> Result<(), String> {
        let finding = line.finding()?;
        let Some(&endpoint) = self.listed.get(&line.endpoint) else {
            return Err(self.unknown_endpoint(&line.endpoint));
        };
        match self.checks.iter().position(|check| check.1 == endpoint) {
            Some(at) => {
                self.checks.remove(at);
            }
            None => return Err(format!("endpoint `{}` is not being checked", line.endpoint)),
        }
        self.cluster.on_checked(endpoint, finding, self.now);
        Ok(())
    }
}
