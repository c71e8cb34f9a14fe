// Counter-based randomness: Philox4x64-10 (Salmon et al., SC '11). A draw is a function of what it is for, never of what was drawn
// before, so that a mode that skips a draw shifts nothing.
#pragma once

#include <array>
#include <cstdint>

namespace qmpi {

using PhiloxCounter = std::array<std::uint64_t, 4>;

constexpr PhiloxCounter philox(PhiloxCounter counter, std::uint64_t key0, std::uint64_t key1) {
  for (int round = 0; round < 10; ++round) {
    const auto low = static_cast<unsigned __int128>(0xD2E7470EE14C6C93u) * counter[0];
    const auto high = static_cast<unsigned __int128>(0xCA5A826395121157u) * counter[2];
    counter = {static_cast<std::uint64_t>(high >> 64) ^ counter[1] ^ key0, static_cast<std::uint64_t>(high),
               static_cast<std::uint64_t>(low >> 64) ^ counter[3] ^ key1, static_cast<std::uint64_t>(low)};
    key0 += 0x9E3779B97F4A7C15u;
    key1 += 0xBB67AE8584CAA73Bu;
  }
  return counter;
}

enum class Stream : std::uint64_t { user = 1, protocol = 2, vector = 3 };

// Uniform in [0, 1) with 53 bits. `who` is a rank, of a state vector the context; `which` counts what has draws of its own there.
constexpr double uniform_draw(std::uint64_t seed, Stream stream, std::uint32_t who, std::uint64_t number, std::uint64_t position,
                              std::uint64_t which = 0) {
  const std::uint64_t key = static_cast<std::uint64_t>(stream) << 32 | who;
  return static_cast<double>(philox({number, position, which, 0}, seed, key)[0] >> 11) * 0x1p-53;
}

}  // namespace qmpi
