"""Analysis: what is wrong between resources, as queries over the database.

The words:

- **analyzer**: a pure check of one object that may read others. It yields findings: code, field, message, hint. One file each.
- **finding**: what an analyzer says of an object. No position inside: the line is looked up when it is shown, so that an
  object that moves in its file is not analysed again.
- **posture**: how secure the mesh is as configured; analyzers of their own, asked for by `--posture`.
- **suppression**: a finding that the user does not want to see, by annotation of the object or by option.

`findings.findings(db)` is everything; `findings.findings_of(db, key)` is one object. Both are queries: a changed object re-runs
the analyzers that read it, and no others.
"""
