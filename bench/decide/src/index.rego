package callgate

import rego.v1

default allow := false

allow if {
	some key in input.keys
	matches(slice.allow[key])
	not denied
}

denied if {
	some key in input.keys
	matches(slice.deny[key])
}

service := data.services[input.service]

# The rules for this caller, else those for its namespace.
slice := object.get(
	service.callers, input.caller,
	object.get(service.namespaces, input.namespace, {}),
)

matches(index) if index.exact[input.path]

matches(index) if {
	some pattern in index.lengths[input.length]
	fits(pattern)
}

matches(index) if {
	some pattern in index.rest
	pattern.length <= input.number
	fits(pattern)
}

fits(pattern) if {
	every literal in pattern.literals {
		input.segments[literal.at] == literal.text
	}
}
