"""The module under which the genuine package also offers the parameter descriptions."""

from launch._support import refuse_unknown_names

from .parameter_descriptions import Parameter, ParameterFile, ParameterValue

__all__ = ["Parameter", "ParameterFile", "ParameterValue"]
__getattr__ = refuse_unknown_names(__name__, __all__)
