// Package auth knows people: accounts, roles, sessions, and who acts.
package auth

import "slices"

// Role is what a person may do. The ids are those of the contract.
type Role string

const (
	Management     Role = "management"
	AIOfficer      Role = "ai_officer"
	WorksCouncil   Role = "works_council"
	DataProtection Role = "data_protection"
	IT             Role = "it"
	ProcessOwner   Role = "process_owner"
	CaseWorker     Role = "case_worker"
	Staff          Role = "staff"
	Auditor        Role = "auditor"
	Guest          Role = "guest"
)

// Roles lists all roles.
func Roles() []Role {
	return []Role{Management, AIOfficer, WorksCouncil, DataProtection, IT, ProcessOwner, CaseWorker, Staff, Auditor, Guest}
}

// Valid reports whether r is one of Roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// Actor is whoever causes a change: a signed-in person, or a command on the machine's shell. It is an explicit parameter
// of everything that changes something.
type Actor struct {
	User  string // id of the account; empty for a command
	Name  string // for people: the person's name, or "shell:root"
	Roles []Role
}

// Has reports whether the actor has one of the roles.
func (a Actor) Has(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(a.Roles, r) })
}

// Shell is the actor of a command that a person with access to the machine runs.
func Shell(user string) Actor { return Actor{Name: "shell:" + user} }
