// The choice of instruction set at run time. It is compiled for the plainest machine and knows the tables only by name.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"

namespace qmpi {

namespace plain {
template <class Real>
const Kernels<Real>& table();
}
#if defined(__x86_64__)
namespace avx2 {
template <class Real>
const Kernels<Real>& table();
}
#endif

bool available(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return isa == Isa::plain;
}

template <class Real>
const Kernels<Real>& kernels([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return avx2::table<Real>();
#endif
  return plain::table<Real>();
}

template const Kernels<float>& kernels<float>(Isa);
template const Kernels<double>& kernels<double>(Isa);

Isa best_isa() {
  const char* wanted = std::getenv("QMPI_ISA");
  if (wanted == nullptr || *wanted == '\0') return available(Isa::avx2) ? Isa::avx2 : Isa::plain;
  const std::string name = wanted;
  if (name == "plain") return Isa::plain;
  if (name == "avx2" && available(Isa::avx2)) return Isa::avx2;
  throw std::invalid_argument("QMPI_ISA=" + name + ": this machine has no such kernels; unset it or use plain");
}

}  // namespace qmpi
