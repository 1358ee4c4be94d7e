"""Operations of TensorFlow that ONNX lacks, as functions of ONNX: in double precision, so that floats keep all digits."""

__all__ = ["DOMAIN", "FUNCTIONS"]

DOMAIN = "keras_ssvae"
_HEADER = f'<opset_import: ["" : 18], domain: "{DOMAIN}">'

LOG1P = f"""{_HEADER}
Log1p (x) => (y) {{
  wide = Cast <to = 11> (x)
  one = Constant <value = double {{1.0}}> ()
  more = Add (wide, one)
  log = Log (more)
  y = CastLike (log, x)
}}"""

EXPM1 = f"""{_HEADER}
Expm1 (x) => (y) {{
  wide = Cast <to = 11> (x)
  one = Constant <value = double {{1.0}}> ()
  exp = Exp (wide)
  less = Sub (exp, one)
  y = CastLike (less, x)
}}"""

MUL_NO_NAN = f"""{_HEADER}
MulNoNan (x, factor) => (y) {{
  zero = Constant <value = float {{0.0}}> ()
  none = CastLike (zero, factor)
  is_none = Equal (factor, none)
  product = Mul (x, factor)
  y = Where (is_none, none, product)
}}"""

XLOGY = f"""{_HEADER}
Xlogy (x, y) => (z) {{
  zero = Constant <value = float {{0.0}}> ()
  none = CastLike (zero, x)
  is_none = Equal (x, none)
  log = Log (y)
  product = Mul (x, log)
  z = Where (is_none, none, product)
}}"""

XLOG1PY = f"""{_HEADER}
Xlog1py (x, y) => (z) {{
  zero = Constant <value = double {{0.0}}> ()
  one = Constant <value = double {{1.0}}> ()
  wide = Cast <to = 11> (x)
  is_none = Equal (wide, zero)
  given = Cast <to = 11> (y)
  more = Add (given, one)
  log = Log (more)
  product = Mul (wide, log)
  result = Where (is_none, zero, product)
  z = CastLike (result, x)
}}"""

# which tf2onnx makes of the logarithm of a softmax, and so infinite where that is zero
CROSS_ENTROPY = f"""{_HEADER}
SparseSoftmaxCrossEntropyWithLogits (logits, labels) => (loss, log_q) {{
  log_q = LogSoftmax <axis = -1> (logits)
  last = Constant <value = int64[1] {{-1}}> ()
  whole = Cast <to = 7> (labels)
  index = Unsqueeze (whole, last)
  chosen = GatherElements <axis = -1> (log_q, index)
  flat = Squeeze (chosen, last)
  loss = Neg (flat)
}}"""

# of positive numbers: log gamma(x + 8) by Stirling's series, less log x, log (x + 1), ..., log (x + 7)
LGAMMA = f"""{_HEADER}
Lgamma (x) => (y) {{
  wide = Cast <to = 11> (x)
  last = Constant <value = int64[1] {{-1}}> ()
  steps = Constant <value = double[8] {{0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}}> ()
  apart = Unsqueeze (wide, last)
  factors = Add (apart, steps)
  logs = Log (factors)
  below = ReduceSum <keepdims = 0> (logs, last)
  eight = Constant <value = double {{8.0}}> ()
  z = Add (wide, eight)
  log_z = Log (z)
  half = Constant <value = double {{0.5}}> ()
  power = Sub (z, half)
  growth = Mul (power, log_z)
  slower = Sub (growth, z)
  root = Constant <value = double {{0.91893853320467274178}}> ()
  leading = Add (slower, root)
  inverse = Reciprocal (z)
  square = Mul (inverse, inverse)
  third = Constant <value = double {{0.00079365079365079365}}> ()
  second = Constant <value = double {{-0.00277777777777777778}}> ()
  first = Constant <value = double {{0.08333333333333333333}}> ()
  from_third = Mul (third, square)
  to_second = Add (from_third, second)
  from_second = Mul (to_second, square)
  to_first = Add (from_second, first)
  series = Mul (to_first, inverse)
  above = Add (leading, series)
  log_gamma = Sub (above, below)
  y = CastLike (log_gamma, x)
}}"""

FUNCTIONS = {
    "Log1p": LOG1P, "Expm1": EXPM1, "MulNoNan": MUL_NO_NAN, "Xlogy": XLOGY, "Xlog1py": XLOG1PY, "Lgamma": LGAMMA,
    "SparseSoftmaxCrossEntropyWithLogits": CROSS_ENTROPY,
}  # fmt: skip
