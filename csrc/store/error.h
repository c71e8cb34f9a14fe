// What the core throws. `kind` is the name of a class in qmpi/errors.py; the bindings raise that class.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace qmpi {

class Error : public std::exception {
 public:
  Error(const char* kind, std::string message) : kind_(kind), message_(std::move(message)) {}
  const char* kind() const { return kind_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  const char* kind_;
  std::string message_;
};

}  // namespace qmpi
