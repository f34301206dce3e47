package pgserver

import "syscall"

// processAttributes runs a process as id, out of the terminal's reach (its Ctrl-C is for this
// process, which then stops the server in order), and has it stop by signal when the thread that
// started it dies, even by kill -9.
func processAttributes(id identity, parentDeath syscall.Signal) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: parentDeath}
	if id.foreign {
		attributes.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	return attributes
}
