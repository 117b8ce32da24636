module rolekeeper

go 1.26.0
