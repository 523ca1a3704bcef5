"""Structured data against dynamic JSON Schemas: what the verifiers `schema` and `schema_edit` are made of.

values      paths, typed equality, leaves                 the bottom: JSON values as Python holds them
formats     `email`, `date`, … of strings
rules       `x-rules`: conditions between fields, as data
subset      which keywords of draft 2020-12 we read       a schema outside it is refused, never half obeyed
validation  schema → compiled validator → problems        cached by the schema
models      schema ⇄ pydantic                             by `create_model`; nothing foreign is executed
reading     JSON, YAML, TOML, XML → values                each by a real parser
markup      the mapping of XML
writing     values → JSON, YAML, TOML, XML
containers  where in an answer the document stands
instances, patterns, random_schemas                       valid values and schemas by construction
injection   valid document → document that is broken, provably, and where
mending     what a broken document needs, and what an edit did to the rest
domains, situations, briefs                               tasks in words
trials      cases whose verdict is known beforehand
"""
