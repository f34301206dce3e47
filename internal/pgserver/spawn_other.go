//go:build !linux

package pgserver

import "syscall"

// processAttributes runs a process as id, out of the terminal's reach. Only Linux can stop it
// when this process is killed; elsewhere the next Start finds it running and says how to stop it.
func processAttributes(id identity, _ syscall.Signal) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if id.foreign {
		attributes.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	return attributes
}
