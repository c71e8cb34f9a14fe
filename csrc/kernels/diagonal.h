// Diagonal gates: every amplitude is multiplied by a factor that its own index chooses, and amplitudes whose factor is 1 are
// not visited. It does not know which gate of the table the factors come from.
#pragma once

#include "kernels/lanes.h"

namespace qmpi::QMPI_ISA {

// `phase` where fixed bits are inside a register: its other lanes are written back as they are. Only worth it where one amplitude
// at a time would leave most of a register empty.
template <class Real>
void phase_within_lanes(Amplitude<Real>* psi, Index size, Index fixed, Index ones, Coefficient d, Share share) {
  using Pack = Lanes<Real, full<Real>>;
  constexpr Index in_register = full<Real> - 1;
  const Factor<Real, full<Real>> factor(d);
  const auto chosen = Pack::where([&](Index lane) { return ((lane ^ ones) & fixed & in_register) == 0; });
  Amplitude<Real>* first = psi + (ones & ~in_register);
  for_each_pack<full<Real>>(size, fixed & ~in_register, share, prefetch(first), [&](Index i) {
    const Pack a = Pack::load(first + i);
    Pack{chosen ? (a * factor).v : a.v}.store(first + i);
  });
}

// psi[i] *= d where the bits of i in `fixed` are exactly those of `ones`.
template <class Real>
void phase(Amplitude<Real>* psi, Index size, Index fixed, Index ones, Coefficient d, Share share) {
  if (d == 1.0) return;
  if (full<Real> > 2 && size >= bit(6) && lowest(fixed) < full<Real>) return phase_within_lanes(psi, size, fixed, ones, d, share);
  with_lanes<Real>(lowest(fixed | size), [&](auto lanes) {
    using Pack = Lanes<Real, lanes>;
    const Factor<Real, lanes> factor(d);
    Amplitude<Real>* first = psi + ones;
    for_each_pack<lanes>(size, fixed, share, prefetch(first),
                         [&](Index i) { (Pack::load(first + i) * factor).store(first + i); });
  });
}

// out[i] = in[i] * (bit `target` (a mask) of i ? d1 : d0) where all controls are 1; out may be in.
template <class Real>
void two_phases(Amplitude<Real>* out, const Amplitude<Real>* in, Index size, Index target, Index controls, Coefficient d0,
                Coefficient d1, Share share = {}) {
  out += controls;
  in += controls;
  if (target < full<Real> && lowest(controls | size) >= full<Real>) {
    using Pack = Lanes<Real, full<Real>>;
    const auto factor = Factor<Real, full<Real>>::per_lane([&](Index lane) { return lane & target ? d1 : d0; });
    for_each_pack<full<Real>>(size, controls, share, prefetch(in),
                              [&](Index i) { (Pack::load(in + i) * factor).store(out + i); });
    return;
  }
  with_lanes<Real>(lowest(target | controls), [&](auto lanes) {
    using Pack = Lanes<Real, lanes>;
    const Factor<Real, lanes> f0(d0), f1(d1);
    for_each_pack<lanes>(size, target | controls, share, prefetch(in, in + target), [&](Index i) {
      (Pack::load(in + i) * f0).store(out + i);
      (Pack::load(in + target + i) * f1).store(out + target + i);
    });
  });
}

// diag(d0, d1) on the bit `target` (a mask).
template <class Real>
void diagonal(Amplitude<Real>* psi, Index size, Index target, Index controls, Coefficient d0, Coefficient d1, Share share) {
  if (d0 == 1.0) return phase(psi, size, target | controls, target | controls, d1, share);
  if (d1 == 1.0) return phase(psi, size, target | controls, controls, d0, share);
  two_phases(psi, psi, size, target, controls, d0, d1, share);
}

}  // namespace qmpi::QMPI_ISA
