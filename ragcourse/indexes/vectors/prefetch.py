"""``prefetch``: the one machine instruction that a walk through memory needs and Numba does not offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray


@intrinsic
def _prefetch(typing: Any, array: Any, row: Any, column: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        get_pointer: Any = cgutils.get_item_pointer
        place = get_pointer(context, builder, kind, view, arguments[1:], wraparound=False)
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        call = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [byte], call)
        builder.call(ask, [builder.bitcast(place, byte), flag(0), flag(3), flag(1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


prefetch = cast(Callable[[NDArray[Any], int, int], None], _prefetch)
"""For kernels: ask the memory for the cache line of ``array[row, column]``, and do not wait for it.

A walk knows its next dozen rows at once; asked for together they arrive together, instead of one after the
other, 50–100 ns each. The indices are not checked, and need not be right: nothing is read.
"""
