package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// Limits of a password.
const (
	MinPassword = 12
	MaxPassword = 256
)

// work is how dear one guess is. It stands in every hash, so that it can be
// raised: a hash of less work is made again when its user signs in.
type work struct {
	memory, time uint32 // KiB, passes
	threads      uint8
}

// present work: a good tenth of a second of one core at most, and 32 MiB.
var present = work{memory: 32 << 10, time: 3, threads: 1}

// most work that a stored hash may ask for: whoever can write to the database
// must not be able to exhaust the process with it.
var most = work{memory: 256 << 10, time: 16, threads: 8}

const (
	saltBytes = 16
	hashBytes = 32
)

// hashPassword makes the text that is stored of a password: argon2id in the
// form of the reference implementation.
func hashPassword(password string) string {
	var salt [saltBytes]byte
	_, _ = rand.Read(salt[:]) // never fails
	w := present
	sum := argon2.IDKey([]byte(password), salt[:], w.time, w.memory, w.threads, hashBytes)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, w.memory, w.time, w.threads, encode(salt[:]), encode(sum))
}

// checkPassword says whether a hash was made of a password, and whether it
// should be made again with the present work.
func checkPassword(hash, password string) (right, again bool, err error) {
	w, salt, sum, err := readHash(hash)
	if err != nil {
		return false, false, err
	}
	got := argon2.IDKey([]byte(password), salt, w.time, w.memory, w.threads, uint32(len(sum)))
	return subtle.ConstantTimeCompare(got, sum) == 1, w != present, nil
}

func readHash(hash string) (w work, salt, sum []byte, err error) {
	bad := errors.New("the stored hash of the password cannot be read")
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return w, nil, nil, bad
	}
	var rest string
	if n, _ := fmt.Sscanf(parts[3]+" .", "m=%d,t=%d,p=%d %s", &w.memory, &w.time, &w.threads, &rest); n != 4 || rest != "." {
		return w, nil, nil, bad
	}
	if w.time < 1 || w.threads < 1 || w.memory < 8 || w.memory > most.memory || w.time > most.time || w.threads > most.threads {
		return w, nil, nil, bad
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	sum, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return w, nil, nil, bad
	}
	return w, salt, sum, nil
}

// passwordField is what is wrong with a new password, or nothing.
func passwordField(login, password string) []problem.Field {
	var text string
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword:
		text = fmt.Sprintf("At least %d characters: a few words are easy to keep in mind.", MinPassword)
	case n > MaxPassword:
		text = fmt.Sprintf("At most %d characters.", MaxPassword)
	case strings.Count(password, password[:1]) == len(password):
		text = "More than one character over and over."
	case login != "" && strings.EqualFold(strings.TrimSpace(password), login):
		text = "Not the name that you sign in with."
	default:
		return nil
	}
	return []problem.Field{{Pointer: "/password", Code: problem.CodeInvalid, Message: text}}
}
