//! The steps of all operations, flattened into one program. `repeat` is written out; the size has been checked before.

use super::sites::Call;
use super::{Compiler, value};
use crate::model::plan::{self, ArmPlan, Instr, OperationPlan, Owner, Probability};
use crate::random::Unit;
use crate::scenario::decode::Field;
use crate::scenario::schema::mesh::Mesh;
use crate::scenario::schema::topology::{Arm, Branch, OnError, Step};

/// What steps inherit from the steps around them.
#[derive(Clone, Default)]
struct Scope<'a> {
    meshes: Vec<&'a Mesh>,
    on_error: Option<OnError>,
}

impl<'a> Scope<'a> {
    fn within(&self, step: &'a Step) -> Scope<'a> {
        let mut scope = self.clone();
        scope.meshes.extend(value(&step.mesh));
        scope.on_error = value(&step.on_error).copied().or(scope.on_error);
        scope
    }

    fn on_error(&self) -> plan::OnError {
        match self.on_error {
            None | Some(OnError::Fail) => plan::OnError::Fail,
            Some(OnError::Ignore) => plan::OnError::Ignore,
        }
    }
}

/// One operation being written. Steps are counted in the order of the file and counted again where they are repeated, so that a step's
/// distribution or site is made once however often the step is written out.
struct Writer<'a, 'c, 'd> {
    compiler: &'c mut Compiler<'a, 'd>,
    owner: Owner,
    /// The distribution or the site of each step that has one, once it is made.
    made: Vec<Option<u32>>,
    /// The number of the next step.
    next: usize,
}

impl Compiler<'_, '_> {
    pub(super) fn operations(&mut self) {
        for (service, (_, field)) in (0..).zip(self.topology().services.checked().iter()) {
            for (name, steps) in field.checked().operations.checked().iter() {
                let start = self.plan.program.len() as u32;
                self.names.operations.push(name.text.clone());
                self.plan.operations.push(OperationPlan { service, start });
                let mut writer = Writer {
                    compiler: self,
                    owner: Owner::Service(service),
                    made: Vec::new(),
                    next: 0,
                };
                writer.sequence(steps.checked(), &Scope::default());
                writer.emit(Instr::End);
            }
        }
    }
}

impl<'a> Writer<'a, '_, '_> {
    fn emit(&mut self, instr: Instr) -> usize {
        self.compiler.plan.program.push(instr);
        self.compiler.plan.program.len() - 1
    }

    fn here(&self) -> u32 {
        self.compiler.plan.program.len() as u32
    }

    /// Makes the jump at `at` lead to the next instruction.
    fn land(&mut self, at: usize) {
        let here = self.here();
        match &mut self.compiler.plan.program[at] {
            Instr::Jump { to } | Instr::Maybe { to, .. } => *to = here,
            other => unreachable!("{other:?} does not jump"),
        }
    }

    fn sequence(&mut self, steps: &'a [Field<Step>], scope: &Scope<'a>) {
        for step in steps {
            let step = step.checked();
            let first = self.next;
            for _ in 0..repeat(step) {
                self.next = first;
                self.once(step, scope);
            }
        }
    }

    fn once(&mut self, step: &'a Step, scope: &Scope<'a>) {
        let scope = scope.within(step);
        let number = self.next;
        self.next += 1;
        if self.made.len() <= number {
            self.made.resize(number + 1, None);
        }
        // Also where it is 100 %: variants that differ in it keep the numbers of their instructions.
        let maybe = value(&step.probability).map(|share| {
            let probability = Probability::new(share.value());
            self.emit(Instr::Maybe { probability, to: 0 })
        });
        self.action(step, number, &scope);
        if let Some(maybe) = maybe {
            self.land(maybe);
        }
    }

    fn action(&mut self, step: &'a Step, number: usize, scope: &Scope<'a>) {
        if let Some(work) = &step.work {
            let distribution = self.made[number].unwrap_or_else(|| {
                let distribution = self.compiler.distribution(work, Unit::Duration);
                self.compiler.add_distribution(distribution)
            });
            self.made[number] = Some(distribution);
            self.emit(Instr::Work { distribution });
        } else if let Some(path) = &step.call {
            let on_error = scope.on_error();
            let site = self.made[number].unwrap_or_else(|| self.site(step, path, scope));
            self.made[number] = Some(site);
            self.emit(Instr::Call { site, on_error });
        } else if let Some(branches) = value(&step.parallel) {
            self.parallel(branches, scope);
        } else if let Some(arms) = value(&step.choose) {
            self.choose(arms, scope);
        } else if let Some(fail) = value(&step.fail) {
            self.emit(Instr::Fail {
                probability: Probability::new(fail.probability.value()),
                status: fail.status,
            });
        } else if let Some(steps) = value(&step.steps) {
            self.sequence(steps, scope);
        }
    }

    fn site(&mut self, step: &'a Step, path: &'a Field<String>, scope: &Scope<'a>) -> u32 {
        self.compiler.site(&Call {
            owner: self.owner,
            path,
            meshes: &scope.meshes,
            timeout: None,
            criticality: value(&step.criticality).copied(),
            request_size: &step.request_size,
            response_size: &step.response_size,
        })
    }

    /// The step, a jump behind the branches, and the branches, each with an end of its own.
    fn parallel(&mut self, branches: &'a [Field<Branch>], scope: &Scope<'a>) {
        let count: u32 = branches.iter().map(|branch| width(branch.checked())).sum();
        let first = self.compiler.plan.branches.len();
        self.compiler.plan.branches.resize(first + count as usize, 0);
        self.emit(Instr::Parallel {
            first: first as u32,
            count,
            on_error: scope.on_error(),
        });
        let jump = self.emit(Instr::Jump { to: 0 });
        let mut slot = first;
        for branch in branches {
            let start = self.next;
            for _ in 0..width(branch.checked()) {
                self.next = start;
                self.compiler.plan.branches[slot] = self.here();
                slot += 1;
                match branch.checked() {
                    Branch::Step(step) => self.once(step, scope),
                    Branch::Steps(steps) => self.sequence(steps, scope),
                }
                self.emit(Instr::End);
            }
        }
        self.land(jump);
    }

    /// The step, and the arms, each with a jump behind the last.
    fn choose(&mut self, arms: &'a [Field<Arm>], scope: &Scope<'a>) {
        let weights: Vec<f64> = arms.iter().map(|arm| weight(arm.checked())).collect();
        let total: f64 = weights.iter().sum();
        let first = self.compiler.plan.arms.len();
        self.emit(Instr::Choose {
            first: first as u32,
            count: arms.len() as u32,
        });
        let mut sum = 0.0;
        for weight in &weights {
            sum += weight;
            let up_to = Probability::new((sum / total).min(1.0));
            self.compiler.plan.arms.push(ArmPlan { up_to, start: 0 });
        }
        self.compiler.plan.arms.last_mut().expect("there is an arm").up_to = Probability::ALWAYS;
        let mut jumps = Vec::new();
        for (arm, slot) in arms.iter().zip(first..) {
            self.compiler.plan.arms[slot].start = self.here();
            self.sequence(arm.checked().steps.checked(), scope);
            jumps.push(self.emit(Instr::Jump { to: 0 }));
        }
        for jump in jumps {
            self.land(jump);
        }
    }
}

/// How often a step is written out.
pub(crate) fn repeat(step: &Step) -> u32 {
    value(&step.repeat).copied().unwrap_or(1)
}

/// How many branches a branch of `parallel` is: a repeated step runs side by side.
pub(crate) fn width(branch: &Branch) -> u32 {
    match branch {
        Branch::Step(step) => repeat(step),
        Branch::Steps(_) => 1,
    }
}

/// The weight of an arm.
pub(crate) fn weight(arm: &Arm) -> f64 {
    value(&arm.weight).copied().unwrap_or(1.0)
}
