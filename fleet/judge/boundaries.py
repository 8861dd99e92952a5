"""Reference formulae of confidence sequences: mixtures and stitched boundaries, by name as in the literature.

A process S with intrinsic time V is sub-psi when exp(lambda S - psi(lambda) V) is at most a supermartingale. Its
mixture over lambda is one too, so that S stays below the mixture's bound for ever with probability 1 - alpha.

    normal               psi = lambda^2 / 2                                        sub-Gaussian differences
    gamma-exponential    psi = (-log(1 - c lambda) - c lambda) / c^2               sub-exponential
    gamma-Poisson        psi = (exp(c lambda) - c lambda - 1) / c^2                bounded, of one sign
    beta-binomial        psi of a value that is -g or h with mean 0                coins, quantiles

Sources: Howard, Ramdas, McAuliffe and Sekhon (2021), time-uniform nonparametric nonasymptotic confidence sequences;
Howard and Ramdas (2022), sequential estimation of quantiles. The tests hold these against values computed by the
authors' R code. The judge's own e-processes (`fleet.judge.eprocess`) are discrete mixtures of the same kind; these are
for whoever wants an interval of one arm, and as the oracle. SciPy is imported where it is needed: no robot reaches
this.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Mixture = Callable[[float, float], float]
"""Log of the mixture at S = s, V = v."""


def best_rho(v: float, alpha: float) -> float:
    """Precision of the two-sided normal mixture that is tightest at intrinsic time v."""
    return v / (2.0 * math.log(1.0 / alpha) + math.log(1.0 + 2.0 * math.log(1.0 / alpha)))


def normal(v_opt: float, alpha_opt: float = 0.05, two_sided: bool = False) -> Mixture:
    """Normal mixture, tightest at v_opt."""
    rho = best_rho(v_opt, alpha_opt if two_sided else 2.0 * alpha_opt)

    def log_mixture(s: float, v: float) -> float:
        both = 0.5 * math.log(rho / (v + rho)) + s * s / (2.0 * (v + rho))
        if two_sided:
            return both
        return both + math.log(2.0) + _log_normal(s / math.sqrt(v + rho))

    return log_mixture


def gamma_exponential(v_opt: float, c: float, alpha_opt: float = 0.05) -> Mixture:
    """Gamma-exponential mixture of scale c, tightest at v_opt."""
    from scipy.special import gammainc, gammaln

    rho = best_rho(v_opt, 2.0 * alpha_opt) / c**2
    leading = rho * math.log(rho) - gammaln(rho) - math.log(gammainc(rho, rho))

    def log_mixture(s: float, v: float) -> float:
        a, b = v / c**2 + rho, s / c + v / c**2
        return float(leading + gammaln(a) + math.log(gammainc(a, b + rho)) - a * math.log(b + rho) + b)

    return log_mixture


def gamma_poisson(v_opt: float, c: float, alpha_opt: float = 0.05) -> Mixture:
    """Gamma-Poisson mixture of scale c, tightest at v_opt."""
    from scipy.special import gammaincc, gammaln

    rho = best_rho(v_opt, 2.0 * alpha_opt) / c**2
    leading = rho * math.log(rho) - gammaln(rho) - math.log(gammaincc(rho, rho))

    def log_mixture(s: float, v: float) -> float:
        a = v / c**2 + rho
        b = s / c + a
        return float(leading + gammaln(b) + math.log(gammaincc(b, a)) - b * math.log(a) + v / c**2)

    return log_mixture


def beta_binomial(v_opt: float, g: float, h: float, alpha_opt: float = 0.05, two_sided: bool = False) -> Mixture:
    """Beta-binomial mixture for sums of values in [-g, h], tightest at v_opt; -inf beyond what such sums can be."""
    from scipy.special import betainc, betaln

    width = g + h
    r = max(best_rho(v_opt, alpha_opt if two_sided else 2.0 * alpha_opt) - g * h, 1e-3 * g * h)

    def log_beta(a: float, b: float) -> float:
        return float(betaln(a, b) if two_sided else betaln(a, b) + math.log(betainc(a, b, h / width)))

    start = log_beta(r / (g * width), r / (h * width))

    def log_mixture(s: float, v: float) -> float:
        down, up = (v - g * s) / (g * width), (v + h * s) / (h * width)
        if down + r / (g * width) <= 0.0 or up + r / (h * width) <= 0.0:
            return -math.inf
        known = v / (g * h) * math.log(width) - up * math.log(g) - down * math.log(h)
        return known + log_beta(down + r / (g * width), up + r / (h * width)) - start

    return log_mixture


def bound(mixture: Mixture, v: float, alpha: float, most: float = math.inf) -> float:
    """Where the mixture reaches 1 / alpha at intrinsic time v: what S stays below; `most` where S cannot be larger."""
    threshold = math.log(1.0 / alpha)
    high = most
    if math.isinf(most):
        high = v
        while mixture(high, v) <= threshold:
            high *= 2.0
    elif mixture(most, v) < threshold:
        return most
    return _root(lambda s: mixture(s, v) - threshold, 0.0, high)


def poly_stitching(v: float, alpha: float, v_min: float, c: float = 0.0, s: float = 1.4, eta: float = 2.0) -> float:
    """Polynomial stitched boundary at intrinsic time v: a closed form with the rate of the iterated logarithm."""
    from scipy.special import zeta

    time = max(v, v_min)
    k_1, k_2 = (eta**0.25 + eta**-0.25) / math.sqrt(2.0), (math.sqrt(eta) + 1.0) / 2.0
    ell = (
        s * math.log(math.log(eta * time / v_min))
        + math.log(float(zeta(s)) / math.log(eta) ** s)
        + math.log(1.0 / alpha)
    )
    linear = k_2 * c * ell
    return math.sqrt(k_1**2 * time * ell + linear**2) + linear


def empirical_process(t: float, alpha: float, t_min: float, a: float = 0.85) -> float:
    """Band on a distribution function after t values, for all t >= t_min and all values at once; inf before."""
    if t < t_min:
        return math.inf
    c = _root(lambda c: _band_error(c, a) - alpha, 1.0, 100.0)
    return a * math.sqrt((math.log(1.0 + math.log(t / t_min)) + c) / t)


def _band_error(c: float, a: float) -> float:
    """Error probability of the band with constant c, for the best spacing eta of its stages."""
    from scipy.optimize import minimize_scalar

    def error(eta: float) -> float:
        gamma = 2.0 / eta * (a - math.sqrt(2.0 * (eta - 1.0) / c)) ** 2
        return math.inf if gamma <= 1.0 else 4.0 * math.exp(-gamma * c) * (1.0 + 1.0 / ((gamma - 1.0) * math.log(eta)))

    widest = _root(lambda eta: math.sqrt(eta / 2.0) + math.sqrt(2.0 * (eta - 1.0) / c) - a, 1.0, 2.0 * a * a)
    found = minimize_scalar(
        lambda eta: min(error(eta), 1e9), bounds=(1.0 + 1e-9, widest - 1e-12), method="bounded",
        options={"xatol": 1e-12},
    )  # fmt: skip
    return float(found.fun)


def double_stitching(
    p: float, t: float, alpha: float, t_opt: float, delta: float = 0.5, s: float = 1.4, eta: float = 2.0
) -> float:
    """Bound on how far the count below the p-quantile strays from p t, for all p and t >= t_opt at once."""
    from scipy.special import zeta

    time = max(t, t_opt)
    logit = math.log(p / (1.0 - p))
    r = p
    if p < 0.5:
        r = min(0.5, 1.0 / (1.0 + math.exp(-(logit + 2.0 * delta * math.sqrt(t_opt * eta / time)))))
    variance = r * (1.0 - r)
    k_1, k_2 = (eta**0.25 + eta**-0.25) / math.sqrt(2.0), (math.sqrt(eta) + 1.0) / 2.0
    j = math.sqrt(time / t_opt) * abs(logit) / (2.0 * delta) + 1.0
    at_s = float(zeta(s))
    ell = (
        s * math.log(math.log(eta * time / t_opt))
        + s * math.log(j)
        + math.log(2.0 * at_s * (2.0 * at_s + 1.0) / (alpha * math.log(eta) ** s))
    )
    linear = k_2 * (1.0 - 2.0 * p) / 3.0 * ell
    return (
        delta * math.sqrt(eta * time * variance / t_opt)
        + math.sqrt(k_1**2 * variance * time * ell + linear**2)
        + linear
    )


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where the function is 0 between two places at which its signs differ."""
    from scipy.optimize import root_scalar

    return float(root_scalar(function, bracket=(low, high), method="brentq", xtol=1e-12, rtol=1e-14).root)


def _log_normal(x: float) -> float:
    """Log of the standard normal distribution function."""
    from scipy.special import log_ndtr

    return float(log_ndtr(x))
