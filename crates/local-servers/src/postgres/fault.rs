//! What can be done to a PostgreSQL server on purpose: killed, started again, paused.

use super::{LADDER, PROGRAM, PostgresCluster, clean, launch};
use crate::crew::Crew;
use crate::{Error, survivor};

impl PostgresCluster {
    /// Ends every process of the server at once, as a power failure would. One that has ended is left as it is.
    pub fn kill(&mut self) -> Result<(), Error> {
        let directory = self.home.data();
        Crew { first: &mut self.process, program: PROGRAM, directory: &directory }.kill()
    }

    /// Starts the server again on its port and data; one that still runs is stopped in order before. Recovers what was
    /// committed before a [`PostgresCluster::kill`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.end()?;
        // If somebody else has killed the first process, the others take a moment to notice.
        survivor::stop_all(PROGRAM, &self.home.data(), &LADDER)?;
        self.launch_again()
    }

    /// Stops every process where it is: connections stay open and get no answer, new ones are accepted by the kernel
    /// alone. A server that is dropped or stopped meanwhile goes on first.
    pub fn pause(&mut self) -> Result<(), Error> {
        let directory = self.home.data();
        Crew { first: &mut self.process, program: PROGRAM, directory: &directory }.freeze()
    }

    pub fn resume(&mut self) -> Result<(), Error> {
        let directory = self.home.data();
        Crew { first: &mut self.process, program: PROGRAM, directory: &directory }.thaw()
    }

    pub(super) fn launch_again(&mut self) -> Result<(), Error> {
        clean(&self.home.directory, &self.home.account)?;
        self.process = launch(&self.home, self.port.number())?;
        Ok(())
    }
}
