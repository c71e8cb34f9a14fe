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
namespace avx512 {
template <class Real>
const Kernels<Real>& table();
}
#endif

bool available(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && available(Isa::avx2);
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return isa == Isa::plain;
}

template <class Real>
const Kernels<Real>& kernels([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512) return avx512::table<Real>();
  if (isa == Isa::avx2) return avx2::table<Real>();
#endif
  return plain::table<Real>();
}

template const Kernels<float>& kernels<float>(Isa);
template const Kernels<double>& kernels<double>(Isa);

std::string_view name_of(Isa isa) {
  constexpr std::string_view names[] = {"plain", "avx2", "avx512"};
  return names[static_cast<int>(isa)];
}

Isa best_isa() {
  const char* wanted = std::getenv("QMPI_ISA");
  const std::string_view name = wanted ? wanted : "";
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::plain})
    if (available(isa) && (name.empty() || name == name_of(isa))) return isa;
  throw std::invalid_argument("QMPI_ISA=" + std::string(name) + ": this machine has no such kernels; unset it or use plain");
}

}  // namespace qmpi
