"""``prefetch``: the one machine instruction that a walk through memory needs and Numba does not offer."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def prefetch(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """Ask the memory for the cache line of ``array[row, column]``, and do not wait for it.

    For use inside kernels. A walk knows its next dozen rows at once; asked for together they arrive
    together, instead of one after the other, each after some 50–100 ns. Indices are not checked.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        place = cgutils.get_item_pointer(context, builder, kind, view, arguments[1:], wraparound=False)
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        call = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [byte], call)
        builder.call(ask, [builder.bitcast(place, byte), flag(0), flag(3), flag(1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate
