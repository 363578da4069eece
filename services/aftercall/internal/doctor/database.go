package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/postgres"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
)

// database connects to the store, and looks at its tables and its clock.
func (m Machine) database(ctx context.Context, r *Report, s settings) {
	if s.Database.URL == "" {
		r.add(CheckDatabase, Warn, "AFTERCALL_DATABASE_URL is not set", "projector and admin do not start without it; router and sender need none",
			"set it where they run (usually as AFTERCALL_DATABASE_URL_FILE): postgres://aftercall@db/aftercall")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	var schema store.Schema
	var err error
	path, file := strings.CutPrefix(s.Database.URL, "sqlite:")
	if file {
		schema, err = sqlite.Look(ctx, path)
	} else {
		schema, err = postgres.Look(ctx, s.Database.URL)
	}
	if err != nil {
		r.add(CheckDatabase, Fail, "the database cannot be reached: "+oneLine(err), "webhooks go out, but nobody can look or change, and history waits in Kafka",
			"check AFTERCALL_DATABASE_URL, that the database runs, user and password, and firewalls: psql URL -c 'select 1'")
		return
	}
	r.ok(CheckDatabase, "the database answers")
	m.migration(r, schema)
	if !schema.Now.IsZero() {
		m.clock(r, "the database", schema.Now, 500*time.Millisecond)
	}
}

func (m Machine) migration(r *Report, s store.Schema) {
	switch {
	case s.Has == 0:
		r.add(CheckMigration, Warn, "the database has no tables of Aftercall's yet", "there is nothing to look at", "start a projector or admin: the first one makes them; its user needs the right to create tables")
	case s.Has < s.Wants:
		r.add(CheckMigration, Fail, fmt.Sprintf("the database is at migration %d, this version wants %d", s.Has, s.Wants), "projector and admin of this version cannot work with it as it is",
			"start projector or admin of this version: they migrate at their start; if they run, look for \"migrating\" in their log, where a missing right is named")
	case s.Has > s.Wants:
		r.add(CheckMigration, Warn, fmt.Sprintf("the database is at migration %d, this version knows %d", s.Has, s.Wants), "a newer version has run: this one works with it, without what is new",
			"run aftercall doctor of the version that is deployed")
	default:
		r.ok(CheckMigration, "the database is at migration %d, the newest", s.Has)
	}
}
