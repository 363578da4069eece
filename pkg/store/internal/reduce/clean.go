package reduce

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aftercall/aftercall/pkg/store"
)

// clean makes every text within a message valid UTF-8.
func clean(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList() && f.Kind() == protoreflect.StringKind:
			for l, i := v.List(), 0; i < l.Len(); i++ {
				l.Set(i, protoreflect.ValueOfString(store.Clean(l.Get(i).String())))
			}
		case f.IsList() && f.Message() != nil:
			for l, i := v.List(), 0; i < l.Len(); i++ {
				clean(l.Get(i).Message())
			}
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(store.Clean(v.String())))
		case f.Message() != nil && !f.IsMap():
			clean(v.Message())
		}
		return true
	})
}
