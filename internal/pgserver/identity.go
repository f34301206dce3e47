package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that the server's processes and files belong to.
type identity struct {
	uid, gid int
	name     string
	foreign  bool // another user than this process's: files are chowned, processes get credentials
}

// choose picks the identity: this process's own unless that is root.
func choose(config *Config) (identity, error) {
	if uid := os.Geteuid(); uid != 0 {
		owner, exists, err := ownerOf(config.DataDir)
		if err != nil {
			return identity{}, err
		}
		if exists && owner.uid != uid {
			return identity{}, fmt.Errorf("%s belongs to %s; run as that user or use another folder", config.DataDir, owner.name)
		}
		return identity{uid: uid, gid: os.Getegid(), name: "uid " + strconv.Itoa(uid)}, nil
	}
	if config.RunAs != "" {
		return lookup(config.RunAs)
	}
	owner, exists, err := ownerOf(config.DataDir)
	if err != nil {
		return identity{}, err
	}
	if exists && owner.uid != 0 {
		return owner, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if id, err := lookup(name); err == nil {
			return id, nil
		}
	}
	return identity{}, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody: name another to run it as")
}

func lookup(name string) (identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return identity{}, fmt.Errorf("user to run PostgreSQL as: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return identity{}, fmt.Errorf("user %s has id %q", name, u.Uid)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return identity{}, fmt.Errorf("user %s has group %q", name, u.Gid)
	}
	if uid == 0 {
		return identity{}, fmt.Errorf("PostgreSQL does not run as %s, which is root", name)
	}
	return identity{uid: uid, gid: gid, name: name, foreign: true}, nil
}

// ownerOf is whom path belongs to.
func ownerOf(path string) (id identity, exists bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, false, nil
	}
	if err != nil {
		return identity{}, false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false, fmt.Errorf("%s: no owner known on this system", path)
	}
	id = identity{uid: int(stat.Uid), gid: int(stat.Gid), name: "uid " + strconv.Itoa(int(stat.Uid)), foreign: true}
	if u, err := user.LookupId(strconv.Itoa(id.uid)); err == nil {
		id.name = u.Username
	}
	return id, true, nil
}

// ownDir makes path a folder of the identity's with mode 0700.
func (id identity) ownDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if id.foreign {
		return os.Chown(path, id.uid, id.gid)
	}
	return nil
}

// canReach checks that the identity may enter every folder above path, so that the failure
// is explained here and not by a server that can't say which folder it was.
func (id identity) canReach(path string) error {
	if !id.foreign {
		return nil
	}
	resolved, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	for dir := resolved; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && !id.enters(info.Mode(), int(stat.Uid), int(stat.Gid)) {
			return fmt.Errorf("PostgreSQL runs as %s, since it refuses root, and %s may not enter %s (mode %#o): "+
				"use a folder elsewhere, for example below /var/lib, or chmod o+x %s", id.name, id.name, dir, info.Mode().Perm(), dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (id identity) enters(mode fs.FileMode, uid, gid int) bool {
	switch {
	case uid == id.uid:
		return mode&0o100 != 0
	case gid == id.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
