"""Audits of real score tables: how many prompts stay covered after the loss of any k models. Uses no JAX."""

from ._audit import Audit as Audit
from ._audit import audit as audit
from ._certificate import certificate as certificate
from ._report import models_of as models_of
from ._report import prompts_file as prompts_file
from ._report import summary_lines as summary_lines
from ._report import write_audit as write_audit
