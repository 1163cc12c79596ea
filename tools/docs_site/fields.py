"""Leaves fields without a docstring of their own out of the API pages: the signature has them."""

from __future__ import annotations

import griffe


class SignatureOnly(griffe.Extension):
    """Of classes that are no enumerations, whose members are the point."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: object) -> None:
        # Otherwise it comes after this, and finds no fields to make a signature from.
        griffe.DataclassesExtension().on_package(pkg=pkg, **kwargs)
        self._clean(pkg)

    def _clean(self, owner: griffe.Module | griffe.Class) -> None:
        for module in owner.modules.values():
            if not module.is_alias:
                self._clean(module)
        for found in owner.classes.values():
            if found.is_alias:
                continue
            self._clean(found)
            if any("Enum" in str(base) for base in found.bases):
                continue
            if found.docstring is not None:
                # Read it now: it takes the types of the fields from the fields.
                found.docstring.parser = griffe.Parser.google
                _ = found.docstring.parsed
            for name, attribute in list(found.attributes.items()):
                is_property = "property" in attribute.labels
                if not (attribute.is_alias or attribute.has_docstring or is_property):
                    found.del_member(name)
